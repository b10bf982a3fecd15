//! Which key signs which checkpoints, as the rotations and losses in the log say.
//!
//! A checkpoint larger than a change's index is the new key's, one that is not, the old key's; the border checkpoint
//! of a rotation (size = index + 1) carries both signatures.

use crate::note::{Checkpoint, Vkey};
use crate::statements::Change;

/// A checkpoint and the keys that the log says it has to bear.
#[derive(Clone, Debug)]
struct Watched {
    checkpoint: Checkpoint,
    wanted: Vec<Vkey>,
}

/// The log's key as far as the walk has come, and what that asks of each checkpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyRanges {
    current: Option<Vkey>,
    watched: Vec<Watched>,
}

impl KeyRanges {
    /// Adds a checkpoint; before the first change.
    pub(crate) fn watch(&mut self, checkpoint: &Checkpoint) {
        self.watched.push(Watched { checkpoint: checkpoint.clone(), wanted: Vec::new() });
    }

    /// Takes in the change that record `index` makes.
    pub(crate) fn change(&mut self, change: Change, index: u64, loss: bool) -> Result<(), &'static str> {
        if self.current.as_ref().is_some_and(|current| *current != change.old) {
            return Err(if loss {
                "loss: the old key is not the log's"
            } else {
                "key_rotation: the old key is not the log's"
            });
        }
        for watched in &mut self.watched {
            let size = watched.checkpoint.size();
            if size <= index {
                if self.current.is_none() {
                    watched.wanted = vec![change.old.clone()];
                }
            } else if !loss && size == index.saturating_add(1) {
                watched.wanted = vec![change.old.clone(), change.new.clone()];
            } else {
                watched.wanted = vec![change.new.clone()];
            }
        }
        self.current = Some(change.new);
        Ok(())
    }

    /// Whether the checkpoint watched as number `number` bears the keys that it has to.
    pub(crate) fn holds(&self, number: usize) -> bool {
        let Some(Watched { checkpoint, wanted }) = self.watched.get(number) else {
            return true;
        };
        wanted.iter().all(|key| checkpoint.signed_by(key))
    }

    /// The log's key after the last change, if there was one.
    pub(crate) fn current(&self) -> Option<&Vkey> {
        self.current.as_ref()
    }
}
