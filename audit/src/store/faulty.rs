//! A store whose writes fail as planned, around any other; for tests of what comes after a write error.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};

use super::{Commit, Family, Guard, Judge, Snapshot, Store, StoreError, Tail, Write};

/// What happens to one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing goes wrong.
    None,
    /// Not written, and the engine says so.
    NotWritten,
    /// Not written, and the engine cannot say.
    UnknownAbsent,
    /// Written, and the engine cannot say.
    UnknownPresent,
}

#[derive(Debug, Default)]
struct Plan {
    commits: VecDeque<Fault>,
    reopens_failing: usize,
    reopened: usize,
    spent: bool,
}

/// A commit that hangs, as on a disk that does not answer.
#[derive(Debug, Default)]
struct Hanging {
    from_now_on: bool,
    now: usize,
}

/// `inner`, with planned failures.
#[derive(Debug)]
pub(crate) struct FaultyStore<S> {
    inner: S,
    plan: Mutex<Plan>,
    hanging: Mutex<Hanging>,
    changed: Condvar,
}

impl<S: Store> FaultyStore<S> {
    /// `inner` with nothing planned.
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, plan: Mutex::default(), hanging: Mutex::default(), changed: Condvar::new() }
    }

    /// The next commits go as `faults` say, one after the other; those behind them go well.
    pub(crate) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.locked().commits.extend(faults);
    }

    /// Commits hang from now on, before anything is written.
    pub(crate) fn hang(&self) {
        self.hanging.lock().unwrap().from_now_on = true;
    }

    /// Waits until a commit hangs.
    pub(crate) fn wait_until_it_hangs(&self) {
        let hanging = self.hanging.lock().unwrap();
        drop(self.changed.wait_while(hanging, |hanging| hanging.now == 0).unwrap());
    }

    /// Commits go on.
    pub(crate) fn go_on(&self) {
        self.hanging.lock().unwrap().from_now_on = false;
        self.changed.notify_all();
    }

    fn hang_if_planned(&self) {
        let mut hanging = self.hanging.lock().unwrap();
        hanging.now += 1;
        self.changed.notify_all();
        hanging = self.changed.wait_while(hanging, |hanging| hanging.from_now_on).unwrap();
        hanging.now -= 1;
    }

    /// The next `times` reopens fail.
    pub(crate) fn fail_reopens(&self, times: usize) {
        self.locked().reopens_failing = times;
    }

    /// How many reopens worked.
    pub(crate) fn reopened(&self) -> usize {
        self.locked().reopened
    }

    fn locked(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    /// What the plan says of the next commit; `Err` if the handle is spent.
    fn next(&self) -> Result<Fault, StoreError> {
        let mut plan = self.locked();
        if plan.spent {
            return Err(StoreError::Closed);
        }
        let fault = plan.commits.pop_front().unwrap_or(Fault::None);
        plan.spent = matches!(fault, Fault::UnknownAbsent | Fault::UnknownPresent);
        Ok(fault)
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.locked().spent { Err(StoreError::Closed) } else { Ok(()) }
    }
}

fn planned() -> StoreError {
    StoreError::Engine("a planned write error".to_owned())
}

impl<S: Store> Store for FaultyStore<S> {
    fn snapshot(&self, read: &mut dyn FnMut(&dyn Snapshot) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.check()?;
        self.inner.snapshot(read)
    }

    fn commit(&self, batch: &[Write], guards: &[Guard]) -> Commit {
        self.hang_if_planned();
        match self.next() {
            Err(error) => Commit::NotCommitted(error),
            Ok(Fault::None) => self.inner.commit(batch, guards),
            Ok(Fault::NotWritten) => Commit::NotCommitted(planned()),
            Ok(Fault::UnknownAbsent) => Commit::Unknown(planned()),
            Ok(Fault::UnknownPresent) => match self.inner.commit(batch, guards) {
                Commit::Committed => Commit::Unknown(planned()),
                other => other,
            },
        }
    }

    fn write_derived(&self, batch: &[Write]) -> Result<(), StoreError> {
        self.check()?;
        self.inner.write_derived(batch)
    }

    fn write_followed(&self, batch: &[Write], guard: &Guard) -> Result<bool, StoreError> {
        self.check()?;
        self.inner.write_followed(batch, guard)
    }

    fn compact(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        self.inner.compact(family, from, to)
    }

    fn copy_to(&self, directory: &Path) -> Result<(), StoreError> {
        self.check()?;
        self.inner.copy_to(directory)
    }

    fn reopen(&self, judge: &mut Judge<'_>) -> Result<Tail, StoreError> {
        {
            let mut plan = self.locked();
            plan.spent = true;
            if let Some(left) = plan.reopens_failing.checked_sub(1) {
                plan.reopens_failing = left;
                return Err(StoreError::Engine("a planned failure to reopen".to_owned()));
            }
        }
        let tail = self.inner.reopen(judge)?;
        let mut plan = self.locked();
        plan.spent = false;
        plan.reopened += 1;
        Ok(tail)
    }
}

mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::store::{Family, Key, Verdict, read};

    fn put(value: &[u8]) -> Vec<Write> {
        vec![Write { key: Key::new(Family::State, "row"), value: Some(value.to_vec()) }]
    }

    fn row(store: &dyn Store) -> Result<Option<Vec<u8>>, StoreError> {
        read(store, |rows| rows.get(Family::State, b"row"))
    }

    #[test]
    fn each_fault_leaves_what_it_says() {
        let store = FaultyStore::new(MemoryStore::default());
        store.plan([Fault::NotWritten, Fault::UnknownAbsent, Fault::UnknownPresent]);
        assert!(matches!(store.commit(&put(b"1"), &[]), Commit::NotCommitted(_)));
        assert_eq!(row(&store).unwrap(), None);

        assert!(matches!(store.commit(&put(b"2"), &[]), Commit::Unknown(_)));
        assert!(matches!(row(&store), Err(StoreError::Closed)));
        assert!(matches!(store.commit(&put(b"2"), &[]), Commit::NotCommitted(StoreError::Closed)));
        assert!(matches!(store.write_derived(&[]), Err(StoreError::Closed)));
        store.reopen(&mut |_| Ok(Verdict::Accept)).unwrap();
        assert_eq!(row(&store).unwrap(), None);

        assert!(matches!(store.commit(&put(b"3"), &[]), Commit::Unknown(_)));
        store.fail_reopens(2);
        for _ in 0..2 {
            assert!(store.reopen(&mut |_| Ok(Verdict::Accept)).is_err());
            assert!(matches!(row(&store), Err(StoreError::Closed)));
        }
        store.reopen(&mut |_| Ok(Verdict::Accept)).unwrap();
        assert_eq!(row(&store).unwrap(), Some(b"3".to_vec()));
        assert_eq!(store.reopened(), 2);
        assert!(matches!(store.commit(&put(b"4"), &[]), Commit::Committed));
    }
}
