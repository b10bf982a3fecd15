//! The limit on secrets under creations that are decided on the same state, at a real log: its check of read sets is what
//! keeps the second of them out, whether both come into one batch or not.

use super::*;
use crate::clock;
use crate::keys::KeyId;
use crate::secret::change::{self, Change, ending};
use crate::secret::fixture::{binding, creator, engine, name, new_secret, text};
use crate::secret::{Engine, SecretError, address};
use keyward_audit::log::Settings;
use keyward_audit::note::SigningKey;
use keyward_audit::record::{Draft, Kind};
use keyward_audit::{Changes, CommitError, Event, Log, ReadSet};
use std::sync::Arc;

const ORIGIN: &str = "localhost/keyward-test";

struct Happened(Draft);

impl Event for Happened {
    fn draft(&self) -> &Draft {
        &self.0
    }
}

struct Rig {
    log: Log,
    engine: Engine,
    held: Held,
    limits: Limits,
    _directory: tempfile::TempDir,
}

/// A change that was decided, and on what.
type Decided = Result<(Change, ReadSet), SecretError>;

impl Rig {
    fn with(secrets_max: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            store: directory.path().join("db"),
            high_water_mark: directory.path().join("hwm"),
            origin: ORIGIN.to_owned(),
            key: Arc::new(SigningKey::from_seed(ORIGIN, &[7; 32]).unwrap()),
            limits: keyward_audit::log::Limits::default(),
            disk: None,
        };
        Log::create(&settings, &clock::system()).unwrap();
        let log = Log::open(&settings, &clock::system()).unwrap();
        let limits = Limits { secrets_max, ..Limits::default() };
        Self { log, engine: engine(), held: Held::default(), limits, _directory: directory }
    }

    fn creation(&self, of: &str) -> Decided {
        let as_of = self.log.as_of();
        let view = self
            .log
            .read(|rows| self.held.creation(rows, self.engine.row_key(), (&name(of), creator()), as_of, &self.limits));
        let view = view.unwrap();
        let binding = binding(of, "v1");
        let id = binding.secret;
        let sealed = self.engine.seal(&self.engine.keyring(), &text("x"), binding, &KeyId::default_key()).unwrap();
        let change = change::create(&view, new_secret(id), &sealed, &self.limits)?;
        Ok((change, ReadSet { as_of, rows: view.reads(&self.limits), ..ReadSet::default() }))
    }

    fn deletion(&self, of: &str) -> (Change, ReadSet) {
        let as_of = self.log.as_of();
        let change = self.log.read(|rows| {
            let row = lookup::secret(rows, self.engine.row_key(), &name(of))?.expect("a secret");
            Ok(ending::purge(row, lookup::in_shard(rows, &name(of))?))
        });
        (change.unwrap(), ReadSet { as_of, ..ReadSet::default() })
    }

    /// Commits; whether nothing had changed.
    async fn commit(&self, (change, reads): (Change, ReadSet)) -> bool {
        let request = clock::system().request_id().unwrap();
        let draft = Draft::new(Kind::Access, "ssm:CreateSecret", "native", request);
        let changes = Changes { writes: change.writes(self.engine.row_key()), ..Changes::default() };
        match self.log.commit_unhurried(Happened(draft), changes, reads).await {
            Ok(_) => true,
            Err(CommitError::Conflict(_)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    fn secrets(&self) -> u64 {
        self.log.read(lookup::secrets_held).unwrap()
    }
}

#[tokio::test]
async fn of_two_creations_for_the_last_place_the_log_takes_one() {
    let rig = Rig::with(2);
    assert!(rig.commit(rig.creation("a").unwrap()).await);
    // Nothing else that both touch: another name, another shard, a creator that is known already.
    assert_ne!(address::shard(&name("b")), address::shard(&name("c")));
    let (b, c) = (rig.creation("b").unwrap(), rig.creation("c").unwrap());
    let taken = tokio::join!(rig.commit(b), rig.commit(c));
    assert_ne!(taken.0, taken.1, "both were decided on one secret of two");
    assert_eq!(rig.secrets(), 2);
    let lost = if taken.0 { "c" } else { "b" };
    assert_eq!(rig.creation(lost).map(|_| ()), Err(SecretError::SecretsLimit { max: 2 }), "decided again");
    assert!(rig.commit(rig.deletion("a")).await);
    assert!(rig.commit(rig.creation(lost).unwrap()).await, "a place was made");
    assert_eq!(rig.secrets(), 2);
    rig.log.stop().await;
}

#[tokio::test]
async fn far_from_the_limit_creations_do_not_wait_for_each_other() {
    let rig = Rig::with(100_000);
    assert!(rig.commit(rig.creation("a").unwrap()).await);
    let (b, c) = (rig.creation("b").unwrap(), rig.creation("c").unwrap());
    assert_eq!(tokio::join!(rig.commit(b), rig.commit(c)), (true, true));
    assert!(rig.held.turn(rig.log.as_of(), &rig.limits, Duration::ZERO).await.unwrap().is_none());
    rig.log.stop().await;
}

#[tokio::test]
async fn i09_near_the_limit_one_creation_has_its_turn_at_a_time_and_does_not_wait_for_ever() {
    let (held, limits) = (Held::default(), Limits { secrets_max: 5, ..Limits::default() });
    let turn = held.turn(0, &limits, Duration::ZERO).await.unwrap();
    assert!(turn.is_some());
    assert_eq!(held.turn(0, &limits, Duration::from_millis(1)).await.map(|_| ()), Err(NoTurn));
    let (next, ()) = tokio::join!(held.turn(0, &limits, Duration::MAX), async { drop(turn) });
    assert!(next.unwrap().is_some());
}
