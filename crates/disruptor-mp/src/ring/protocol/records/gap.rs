//! How many lines stay unused after a record, so that its readers do not fetch the line that the producer writes next.
//! Pure arithmetic.
//!
//! Source: RFC 0006, "Gap".

use super::word::{LINE_BYTES, lines_of};

/// Lengths in bytes of records after which a gap pays.
const BYTES_MIN: usize = 2 << 10;
const BYTES_MAX: usize = 128 << 10;

/// The widest gap.
const WIDEST_BYTES: usize = 8 << 10;
const WIDEST_LINES: i64 = (WIDEST_BYTES / LINE_BYTES) as i64;

const _: () = assert!(WIDEST_LINES <= u8::MAX as i64);

/// The least number of lines between two looks at where the readers are.
const LOOK_EVERY_LINES: i64 = 256;

/// Whether a gap pays after a record of `len` bytes.
#[inline(always)]
pub(crate) const fn pays(len: usize) -> bool {
    len >= BYTES_MIN && len <= BYTES_MAX
}

/// Lines of the best gap after a record of `len` bytes for which a gap pays: a quarter of its length, half if it is
/// longer, but not more than the widest gap that pays.
#[inline(always)]
const fn best_lines(len: usize) -> i64 {
    let part = if len < WIDEST_BYTES { len / 4 } else { len / 2 };
    min((part / LINE_BYTES) as i64, WIDEST_LINES)
}

/// The most lines that gaps take of what a reader has not released, in a ring of `capacity` lines: 1/128 of it. A small
/// ring spares 1/32, for up to three of the widest gaps: a reader that keeps up needs those since the last look at it,
/// and those before.
const fn budget_lines(capacity: i64) -> i64 {
    let few = min(capacity / 32, 3 * WIDEST_LINES);
    if few > capacity / 128 { few } else { capacity / 128 }
}

/// The widest gap of a ring whose gaps take up to `budget` lines: one since the last look, and one before.
#[inline(always)]
const fn widest_lines(budget: i64) -> i64 {
    budget / 2
}

/// `Ord::min`, which no constant can call.
#[inline(always)]
const fn min(a: i64, b: i64) -> i64 {
    if a < b { a } else { b }
}

/// How many records of up to `len` bytes a ring of `capacity` lines takes while its slowest reader has not released the
/// first of them, whatever gaps are between them. Without gaps, for instance in a fresh ring, it is the number that
/// fits besides one line for the header after the last of them.
pub(crate) const fn records_in(capacity: i64, len: usize) -> i64 {
    let (lines, budget) = (lines_of(len), budget_lines(capacity));
    let gap = widest_behind(budget, len);
    // One after each but the last, or all that there may be, whichever is less.
    let beside_one_each = (capacity - 1 + gap) / (lines + gap);
    let beside_all = (capacity - 1 - budget) / lines;
    if beside_one_each > beside_all { beside_one_each } else { beside_all }
}

/// The most lines by which a gap makes one of several records of up to `len` bytes take more than the longest of them.
const fn widest_behind(budget: i64, len: usize) -> i64 {
    if len < BYTES_MIN {
        return 0;
    }
    if len <= BYTES_MAX {
        return min(best_lines(len), widest_lines(budget));
    }
    // No gap follows it, but a shorter record may take more with its gap.
    let more = lines_of(BYTES_MAX) + widest_behind(budget, BYTES_MAX) - lines_of(len);
    if more > 0 { more } else { 0 }
}

/// Which gaps a producer may still leave.
///
/// A gap between two records becomes free only with the first of them, so a backlog cannot use it. That is why gaps
/// take no more than a budget of what readers have not released. There are none before the readers have released
/// something: only readers that keep up fetch what is written next.
#[derive(Debug)]
pub(crate) struct Gaps {
    /// Lines that gaps may take before a look finds them released.
    budget: i64,
    /// How many of these lines are left.
    left: i64,
    /// How many of these the next gap may take.
    widest: i64,
    /// `left` when the last turn began. What was spent before that turn, and may not be released, is not in it.
    left_at_turn: i64,
    /// Where the last turn began. Readers that have released everything before it have released the gaps there.
    turn: i64,
    /// Where the next look at the readers is due.
    next_look: i64,
}

impl Gaps {
    /// The gaps of a producer that begins at `position` of a ring of `capacity` lines. What its predecessor left is not
    /// known.
    pub(crate) fn new(position: i64, capacity: i64) -> Self {
        let budget = budget_lines(capacity);
        Self { budget, left: 0, widest: 0, left_at_turn: 0, turn: position + 1, next_look: position }
    }

    /// Lines to leave unused after a record of `len` bytes for which a gap pays.
    #[inline(always)]
    pub(crate) fn take(&mut self, len: usize) -> u8 {
        let lines = min(best_lines(len), self.widest);
        self.left -= lines;
        if self.left < self.widest {
            self.widest = self.left;
        }
        lines as u8
    }

    /// Whether a producer at `next` must look at the readers.
    #[inline(always)]
    pub(crate) fn is_look_due(&self, next: i64) -> bool {
        next >= self.next_look
    }

    /// The readers, if there are any, have released everything before `released`; the producer is at `next`.
    pub(crate) fn look(&mut self, released: Option<i64>, next: i64) {
        if released.is_some_and(|released| released >= self.turn) {
            // What was spent since the turn may not be released. What was spent before it is.
            self.left = self.budget - (self.left_at_turn - self.left);
            self.widest = min(self.left, widest_lines(self.budget));
            (self.left_at_turn, self.turn) = (self.left, next);
        }
        self.next_look = next + LOOK_EVERY_LINES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A number below `bound`, by a fixed series.
    fn next(seed: &mut u64, bound: u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % bound
    }

    #[test]
    fn gaps_that_are_not_released_take_no_more_than_the_budget_whatever_the_readers_do() {
        for (seed, capacity) in [(1, 64), (2, 1024), (3, 4096), (4, 16_384), (5, 131_072), (6, 1 << 20)] {
            let (mut seed, mut position, mut released) = (seed, 0_i64, 0_i64);
            let (mut gaps, mut unreleased) = (Gaps::new(0, capacity), VecDeque::new());
            let (mut widest, mut most, mut pause) = (0, 0, 0);
            for _ in 0..20_000 {
                let len = (BYTES_MIN as u64 + next(&mut seed, (BYTES_MAX - BYTES_MIN) as u64)) as usize;
                let gap = i64::from(gaps.take(len));
                position += lines_of(len) + gap;
                unreleased.push_back((position, gap));
                // The readers release all that is there, or some of it, or nothing for a while.
                let releases = if pause == 0 { next(&mut seed, 12) } else { 0 };
                for _ in 0..releases {
                    released = unreleased.pop_front().map_or(released, |(end, _)| end);
                }
                pause = if next(&mut seed, 100) == 0 { next(&mut seed, 400) } else { pause.saturating_sub(1) };
                if gaps.is_look_due(position) {
                    gaps.look((next(&mut seed, 8) > 0).then_some(released), position);
                }
                let taken = unreleased.iter().map(|(_, gap)| gap).sum::<i64>();
                assert!(taken <= budget_lines(capacity), "{taken} lines in a ring of {capacity}");
                (widest, most) = (gap.max(widest), taken.max(most));
            }
            assert_eq!(widest, WIDEST_LINES.min(budget_lines(capacity) / 2), "in a ring of {capacity}");
            assert!(most > budget_lines(capacity) / 2, "only {most} lines in a ring of {capacity}: a weak test");
        }
    }

    #[test]
    fn a_reader_that_keeps_up_has_the_best_gap_behind_each_record_from_a_mebibyte_on() {
        for len in (BYTES_MIN..=BYTES_MAX).step_by(1000) {
            let (mut gaps, mut position) = (Gaps::new(0, 1 << 14), 0);
            for number in 0..1000 {
                let begin = position;
                let gap = i64::from(gaps.take(len));
                position += lines_of(len) + gap;
                // It has released the record before this one.
                if gaps.is_look_due(position) {
                    gaps.look(Some(begin), position);
                }
                let is_learned = begin > 2 * LOOK_EVERY_LINES && number > 2;
                assert!(!is_learned || gap == best_lines(len), "{gap} lines after record {number} of {len} bytes");
            }
        }
    }
}
