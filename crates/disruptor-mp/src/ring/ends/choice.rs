//! Which of two ways costs less, learned from what either has cost. Pure arithmetic.
//!
//! The way that is not taken is tried from time to time. It is tried often at first, after a change of the way, and
//! when the cost of the way that is taken has changed by half: then the readers may have moved.

/// How many of the last costs are remembered for each way, an odd number.
pub(super) const REMEMBERED: usize = 5;

/// The rank of their median.
const MIDDLE: usize = REMEMBERED / 2;

/// When the way changes.
#[derive(Debug)]
pub(super) struct Rules {
    /// The second way is taken if its cost is less than this part of the first's, and left if the first's is less than
    /// that part of the second's. Between the two lie ways of equal cost, which do not alternate and end in the first.
    pub(super) taken_below: (u32, u32),
    pub(super) left_below: (u32, u32),
    /// How far from the median these costs are taken, in ranks, of the better way above it and of the other below it. 1
    /// asks for costs that hardly overlap.
    pub(super) apart: usize,
    /// The cost of a way has changed if the new one is less than this part of the old one, or the old of the new.
    pub(super) changed_below: (u32, u32),
    /// Of this many costs, one is of the other way.
    pub(super) other_every: u8,
}

/// What is known of two ways.
#[derive(Debug)]
pub(super) struct Choice {
    rules: &'static Rules,
    takes_second: bool,
    first: Costs,
    second: Costs,
    /// The cost of its own way when the other was last tried after a change.
    known: u32,
    /// Costs of the other way that are still wanted, as soon as allowed.
    eager: usize,
    /// Costs since the last one of the other way.
    turn: u8,
}

impl Choice {
    pub(super) fn new(rules: &'static Rules, takes_second: bool) -> Self {
        let (first, second) = (Costs::default(), Costs::default());
        Self { rules, takes_second, first, second, known: 0, eager: REMEMBERED, turn: 0 }
    }

    /// Whether the second way is taken.
    pub(super) fn takes_second(&self) -> bool {
        self.takes_second
    }

    /// The usual cost of the second way, or of the first, if enough is known.
    pub(super) fn median(&self, of_second: bool) -> Option<u32> {
        if of_second { self.second.ranked(MIDDLE) } else { self.first.ranked(MIDDLE) }
    }

    /// Whether the other way should be tried now.
    pub(super) fn wants_other(&self) -> bool {
        self.turn >= if self.eager > 0 { 1 } else { self.rules.other_every }
    }

    /// The second way, or the first, has cost this.
    pub(super) fn learn(&mut self, is_second: bool, cost: u32) {
        if is_second {
            self.second.add(cost)
        } else {
            self.first.add(cost)
        }
        if is_second == self.takes_second {
            self.turn = self.turn.saturating_add(1);
        } else {
            (self.turn, self.eager) = (0, self.eager.saturating_sub(1));
        }
        let (first, second) = (&self.first, &self.second);
        let (own, other) = if self.takes_second { (second, first) } else { (first, second) };
        let ranked = (other.ranked(MIDDLE + self.rules.apart), own.ranked(MIDDLE - self.rules.apart));
        let (Some(high), Some(low)) = ranked else { return };
        let (Some(own), Some(other)) = (own.ranked(MIDDLE), other.ranked(MIDDLE)) else { return };
        let part = if self.takes_second { self.rules.left_below } else { self.rules.taken_below };
        if is_below(high, part, low) {
            // Then it looks again at the way that it has left: the last costs there may have been delayed, or are old.
            (self.takes_second, self.known, self.turn, self.eager) = (!self.takes_second, other, 0, REMEMBERED);
        } else if self.eager > 0 {
            self.known = own;
        } else if is_below(self.known, self.rules.changed_below, own)
            || is_below(own, self.rules.changed_below, self.known)
        {
            (self.known, self.eager) = (own, REMEMBERED);
        }
    }
}

/// Whether `cost` is less than `part` of `than`.
fn is_below(cost: u32, part: (u32, u32), than: u32) -> bool {
    u64::from(cost) * u64::from(part.1) < u64::from(than) * u64::from(part.0)
}

/// The last costs of one way.
#[derive(Debug, Default)]
struct Costs {
    last: [u32; REMEMBERED],
    count: usize,
}

impl Costs {
    fn add(&mut self, cost: u32) {
        self.last.rotate_right(1);
        self.last[0] = cost;
        self.count = REMEMBERED.min(self.count + 1);
    }

    /// The cost of that rank among the last ones, if there are enough: during one of them, another process may have had
    /// the processor.
    fn ranked(&self, rank: usize) -> Option<u32> {
        let mut sorted = self.last;
        sorted.sort_unstable();
        (self.count == REMEMBERED).then_some(sorted[rank])
    }
}
