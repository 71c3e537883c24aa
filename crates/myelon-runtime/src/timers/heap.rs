//! A heap with four children a node, which tells each node's new place.

/// How many children a node has. With four, a node's children are on two lines of the cache, and the tree is half as
/// high as with two.
const CHILDREN: usize = 4;

/// One deadline. Nodes are compared in the order of their fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node {
    pub(super) wakes: u64,
    pub(super) deadline: u64,
    pub(super) order: u64,
    pub(super) slot: u32,
}

/// Is told where a node is now.
pub(super) trait Moved {
    fn moved(&mut self, slot: u32, place: u32);
}

/// The smallest node is first.
#[derive(Debug, Default)]
pub(super) struct Heap(Vec<Node>);

impl Heap {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<Node> {
        self.0.first().copied()
    }

    pub(super) fn node(&self, place: u32) -> Node {
        self.0[place as usize]
    }

    pub(super) fn push(&mut self, node: Node, moved: &mut impl Moved) {
        self.0.push(node);
        self.up(self.0.len() - 1, moved);
    }

    /// Puts `node` where another one was.
    pub(super) fn replace(&mut self, place: u32, node: Node, moved: &mut impl Moved) {
        self.0[place as usize] = node;
        self.settle(place as usize, moved);
    }

    pub(super) fn remove(&mut self, place: u32, moved: &mut impl Moved) {
        let place = place as usize;
        self.0.swap_remove(place);
        if place < self.0.len() {
            self.settle(place, moved);
        }
    }

    fn settle(&mut self, place: usize, moved: &mut impl Moved) {
        let place = self.up(place, moved);
        self.down(place, moved);
    }

    /// Moves a node before its parents that are larger; returns where it is then.
    fn up(&mut self, mut place: usize, moved: &mut impl Moved) -> usize {
        let node = self.0[place];
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if self.0[parent] <= node {
                break;
            }
            self.put(place, self.0[parent], moved);
            place = parent;
        }
        self.put(place, node, moved);
        place
    }

    /// Moves a node after its children that are smaller.
    fn down(&mut self, mut place: usize, moved: &mut impl Moved) {
        let node = self.0[place];
        loop {
            let first = place * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.0.len());
            let Some(smallest) = children.min_by_key(|&child| self.0[child]) else { break };
            if node <= self.0[smallest] {
                break;
            }
            self.put(place, self.0[smallest], moved);
            place = smallest;
        }
        self.put(place, node, moved);
    }

    fn put(&mut self, place: usize, node: Node, moved: &mut impl Moved) {
        self.0[place] = node;
        moved.moved(node.slot, place.try_into().expect("fewer than 2^32 timers"));
    }
}
