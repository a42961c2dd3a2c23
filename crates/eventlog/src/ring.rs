//! Pure: the newest items of a numbered sequence, in memory.

use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// The newest items of a sequence whose numbers grow by one, with the memory they take.
///
/// It does not bound itself: after a push, its owner calls [`Ring::shrink`] with its limits.
#[derive(Debug)]
pub struct Ring<T> {
    first: u64,
    items: VecDeque<(usize, T)>,
    bytes: usize,
}

impl<T> Ring<T> {
    /// An empty ring whose first item will have the number `next`.
    #[must_use]
    pub const fn starting_at(next: u64) -> Self {
        Self { first: next, items: VecDeque::new(), bytes: 0 }
    }

    /// The number of its oldest item, or of the next one if it is empty.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next item gets.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// How many items it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of all its items.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an item that takes `bytes`, and gives its number.
    pub fn push(&mut self, bytes: usize, item: T) -> u64 {
        let number = self.next();
        self.items.push_back((bytes, item));
        self.bytes += bytes;
        number
    }

    /// The oldest item.
    #[must_use]
    pub fn oldest(&self) -> Option<&T> {
        self.items.front().map(|(_, item)| item)
    }

    /// The items from a number on, with their numbers and sizes; from the oldest if that number is
    /// gone, none if it has not been given yet.
    pub fn from(&self, number: u64) -> impl Iterator<Item = (u64, usize, &T)> {
        let skip = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let skip = skip.min(self.items.len());
        let numbers = self.first + skip as u64..;
        numbers.zip(self.items.range(skip..)).map(|(number, (bytes, item))| (number, *bytes, item))
    }

    /// Drops the oldest item, if it has more than one. Says whether it did.
    pub fn drop_oldest(&mut self) -> bool {
        self.items.len() > 1 && self.pop()
    }

    /// Drops oldest items until at most so many items and bytes are left, or one item. Gives how
    /// many went.
    pub fn shrink(&mut self, items: usize, bytes: usize) -> usize {
        let before = self.items.len();
        while (self.items.len() > items || self.bytes > bytes) && self.drop_oldest() {}
        before - self.items.len()
    }

    /// Drops every item before a number, the newest too, and gives how many went.
    pub fn drop_before(&mut self, number: u64) -> usize {
        let before = self.items.len();
        while self.first < number && self.pop() {}
        before - self.items.len()
    }

    /// Drops everything; the next item gets the number `next`.
    pub fn restart_at(&mut self, next: u64) {
        *self = Self::starting_at(next);
    }

    fn pop(&mut self) -> bool {
        let Some((bytes, _)) = self.items.pop_front() else { return false };
        self.bytes -= bytes;
        self.first += 1;
        true
    }
}
