//! Making a log, opening one, and its threads.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::Log;
use super::backup;
use super::followers::Follower;
use super::head::{HEAD, Head};
use super::keys::{ChainId, number};
use super::marked::Marked;
use super::own;
use super::proofs::read_note;
use super::restored;
use super::sequencer::{Sequencer, frame_own};
use super::settings::Settings;
use super::shared::{Durable, Parts, Shared};
use super::signer::Signer;
use super::start::{self, Examined, OpenError};
use super::sync::lock;
use super::turns;
use super::watch::Watcher;
use crate::checkpoint::SignedCheckpoint;
use crate::disk::Watch;
use crate::environment::Environment;
use crate::event::Refused;
use crate::hash;
use crate::mark::{Mark, MarkError, MarkFile};
use crate::recovery;
use crate::store::rocks::RocksStore;
use crate::store::{self, Commit, Family, Guard, Snapshot, Store, StoreError, Tail};

impl Log {
    /// Makes an empty log: its store, the empty head in it, and the mark at size 0.
    ///
    /// # Errors
    /// [`OpenError`]; what exists already is not overwritten.
    pub fn create(settings: &Settings, environment: &Environment) -> Result<(), OpenError> {
        check_key(settings)?;
        let store = RocksStore::create(&settings.store)?;
        create_on(&store, settings, environment)
    }

    /// Opens a log and starts its threads (audit-log.md 6.3).
    ///
    /// # Errors
    /// [`OpenError`]: a record below the mark is lost, or what is configured does not fit what is stored.
    pub fn open(settings: &Settings, environment: &Environment) -> Result<Self, OpenError> {
        check_key(settings)?;
        let note = restored::read(&settings.high_water_mark).map_err(OpenError::Mark)?;
        let (file, mut no_mark) = match MarkFile::open(&settings.high_water_mark) {
            Ok(file) => (Some(file), None),
            Err(error @ MarkError::Failed { .. }) => return Err(OpenError::MarkNotRead(error)),
            Err(error) => (None, Some(error)),
        };
        let newest = file.as_ref().and_then(MarkFile::newest);
        let mut found = None;
        let opened = recovery::open_with_recovery(&settings.store, &mut |rows| {
            let examined = match &newest {
                Some(mark) => start::examine(rows, &settings.origin, mark),
                None => Err(without_mark(rows, settings, no_mark.take())),
            };
            start::judge(&mut found, restored::refuse(note.as_ref(), examined))
        });
        let (opened, examined, file) = match (opened, found, file) {
            (Ok(opened), Some(Ok(examined)), Some(file)) => (opened, examined, file),
            (Err(error), found, _) => return Err(start::refusal(error, found, newest.as_ref())),
            (_, Some(Err(refusal)), _) => return Err(refusal),
            (Ok(_), ..) => return Err(StoreError::Closed.into()),
        };
        restored::drop_stale(note.as_ref(), examined.head.size, &settings.high_water_mark)?;
        backup::clear(&settings.store);
        let workers = Workers::assemble(Arc::new(opened.store), file, examined, settings, environment)?;
        workers.note_tail(opened.tail);
        workers.start()
    }
}

/// The refusal of a log whose mark is missing or unreadable.
fn without_mark(rows: &dyn Snapshot, settings: &Settings, mark: Option<MarkError>) -> OpenError {
    let path = settings.high_water_mark.display().to_string();
    let mark = mark.unwrap_or(MarkError::Unreadable { path });
    match start::load(rows, &settings.origin) {
        Ok(examined) => OpenError::NoMark { size: examined.head.size, mark },
        Err(error) => error,
    }
}

fn check_key(settings: &Settings) -> Result<(), OpenError> {
    let name = settings.key.verifying_key().name();
    if name == settings.origin {
        return Ok(());
    }
    Err(OpenError::OtherKey { key: name.to_owned(), origin: settings.origin.clone() })
}

/// Writes the empty head and the mark at size 0.
pub(super) fn create_on(store: &dyn Store, settings: &Settings, environment: &Environment) -> Result<(), OpenError> {
    let chain = hash::chain_start(&settings.origin);
    let id = ChainId::of(&chain);
    let time_us = environment.clock.wall_us();
    let head = Head::empty(chain, time_us);
    let absent = Guard { key: id.state(HEAD), expected: None };
    match store.commit(&head.rows(id, &head.encode()), &[absent]) {
        Commit::Committed => {}
        Commit::Conflict(_) => return Err(StoreError::Engine("the store holds a log already".to_owned()).into()),
        Commit::NotCommitted(error) | Commit::Unknown(error) => return Err(error.into()),
    }
    create_mark(&settings.high_water_mark, &settings.origin, &head.durable()).map_err(OpenError::Mark)
}

/// Makes the file of the mark, at `durable`, under `origin`, which has signed nothing yet.
pub(super) fn create_mark(path: &Path, origin: &str, durable: &Durable) -> Result<(), MarkError> {
    write_mark(path, &mark_of(origin, durable))
}

/// Makes a mark of a log at `durable` whose newest checkpoint is `signed`.
pub(super) fn checkpoint_mark(path: &Path, durable: &Durable, signed: &SignedCheckpoint) -> Result<(), MarkError> {
    let head = signed.checkpoint();
    let mark = mark_of(&head.origin, durable);
    write_mark(path, &Mark { signed_size: head.size, signed_root: head.root, ..mark })
}

fn mark_of(origin: &str, durable: &Durable) -> Mark {
    Mark {
        generation: 0,
        epoch: u64::from(durable.epoch),
        size: durable.size,
        chain: durable.chain,
        root: durable.root,
        origin_hash: hash::sha256(origin.as_bytes()),
        signed_size: 0,
        signed_root: hash::empty_root(),
        time_us: durable.time_us,
    }
}

fn write_mark(path: &Path, mark: &Mark) -> Result<(), MarkError> {
    let failed = |source| MarkError::Failed { path: path.display().to_string(), source };
    let mut file = MarkFile::create(path)?;
    file.write(mark).map_err(failed)?;
    file.sync().map_err(failed)
}

/// Name of the threads that write.
const WRITES: &str = "keyward-log";

/// What runs on the threads of a log.
pub(super) struct Workers {
    pub(super) log: Arc<Shared>,
    pub(super) sequencer: Sequencer,
    pub(super) signer: Signer,
    pub(super) follower: Follower,
    pub(super) watcher: Watcher,
}

impl Workers {
    /// Puts a log together on a store that was examined. Nothing runs yet.
    pub(super) fn assemble(
        store: Arc<dyn Store>,
        mark: MarkFile,
        examined: Examined,
        settings: &Settings,
        environment: &Environment,
    ) -> Result<Self, OpenError> {
        let marked = Marked::new(mark, &settings.high_water_mark).map_err(OpenError::Mark)?;
        let durable = examined.head.durable();
        let failed = |source| MarkError::Failed { path: settings.high_water_mark.display().to_string(), source };
        marked.advance(&durable).map_err(|source| OpenError::Mark(failed(source)))?;
        let log = Arc::new(Shared::new(Parts {
            store,
            environment: environment.clone(),
            limits: settings.limits.clone(),
            origin: settings.origin.clone(),
            store_path: settings.store.clone(),
            chain_start: examined.chain_start,
            marked,
            durable,
            generations: examined.generations.iter().cloned().collect(),
        }));
        show_last_checkpoint(&log, settings)?;
        tell_doubts(&log, &examined, settings)?;
        let disk =
            settings.disk.map(|disk| Watch::new(&settings.store, &ballast(&settings.store), disk, environment.clone()));
        Ok(Self {
            sequencer: Sequencer::new(Arc::clone(&log), examined),
            signer: Signer::new(Arc::clone(&log), Arc::clone(&settings.key)),
            follower: Follower::new(Arc::clone(&log)),
            watcher: Watcher::new(Arc::clone(&log), disk),
            log,
        })
    }

    /// A tail that was torn by a crash and cut off is recorded.
    pub(super) fn note_tail(&self, tail: Tail) {
        if tail == Tail::Torn {
            let draft = own::torn_tail_recovered(&self.log.environment, self.log.as_of());
            if let Some(entry) = draft.ok().as_ref().and_then(frame_own) {
                self.log.lanes.push_own(entry);
            }
        }
    }

    /// Starts the threads.
    pub(super) fn start(self) -> Result<Log, OpenError> {
        let Self { log, sequencer, signer, follower, watcher } = self;
        let threads = Arc::new(Threads::new(Arc::clone(&log)));
        *lock(&threads.sequencer) = Some(spawn(WRITES, move || turns::run(sequencer, WRITES))?);
        lock(&threads.behind).push(spawn("keyward-sign", move || signer.run())?);
        lock(&threads.behind).push(spawn("keyward-index", move || follower.run())?);
        lock(&threads.behind).push(spawn("keyward-watch", move || watcher.run())?);
        Ok(Log { shared: log, threads })
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(OpenError::Thread)
}

/// The ballast lies beside the store, on the same disk.
fn ballast(store: &Path) -> std::path::PathBuf {
    store.with_extension("ballast")
}

/// Shows the checkpoint that the mark remembers, if its row is there.
fn show_last_checkpoint(log: &Shared, settings: &Settings) -> Result<(), StoreError> {
    let Some(mark) = log.marked.newest() else { return Ok(()) };
    let key = log.id.checkpoint(mark.signed_size);
    let note = store::read(log.store.as_ref(), |rows| rows.get(Family::Checkpoints, &key.bytes))?;
    let keys = [settings.key.verifying_key().clone()];
    if let Some(Ok(signed)) = note.map(|note| SignedCheckpoint::parse_and_verify(&note, &keys)) {
        log.publish(Arc::new(signed), log.environment.clock.monotonic_us());
    }
    Ok(())
}

/// Tells if the newest head in the store is none that this log signed over these records: then somebody wrote it, or them, who did
/// not have the key. The log opens all the same, since nothing below the mark is missing.
fn tell_doubts(log: &Shared, examined: &Examined, settings: &Settings) -> Result<(), StoreError> {
    if let Some((size, doubt)) = store::read(log.store.as_ref(), |rows| newest_doubt(rows, examined, settings))? {
        tracing::error!(size, %doubt, "the newest signed head in the store does not hold: run `keyward audit verify`");
    }
    Ok(())
}

/// What is wrong with the newest checkpoint of this origin, and its size.
pub(super) fn newest_doubt(
    rows: &dyn Snapshot,
    examined: &Examined,
    settings: &Settings,
) -> Result<Option<(u64, String)>, StoreError> {
    let keys = examined.id().records(0..u64::MAX);
    let mut newest = None;
    rows.scan(Family::Checkpoints, &keys.start, &keys.end, true, &mut |key, note| {
        newest = number(key).map(|size| (size, note.to_vec()));
        false
    })?;
    let Some((size, note)) = newest else { return Ok(None) };
    // Until the first checkpoint behind an accepted loss, the newest one is of the origin before.
    if read_note(&note).is_some_and(|(checkpoint, _)| checkpoint.origin != settings.origin) {
        return Ok(None);
    }
    let doubt = match SignedCheckpoint::parse_and_verify(&note, &[settings.key.verifying_key().clone()]) {
        Err(error) => error.to_string(),
        Ok(signed) if start::begins_with(rows, examined, size, &signed.checkpoint().root)? => return Ok(None),
        Ok(_) => "it is not of these records".to_owned(),
    };
    Ok(Some((size, doubt)))
}

/// The threads of an open log.
pub(super) struct Threads {
    log: Arc<Shared>,
    sequencer: Mutex<Option<JoinHandle<()>>>,
    behind: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    pub(super) fn new(log: Arc<Shared>) -> Self {
        Self { log, sequencer: Mutex::new(None), behind: Mutex::new(Vec::new()) }
    }

    /// Has the sequencer write what waits, then the others end; waits for all of them.
    pub(super) fn stop(&self) {
        self.log.lanes.close(Refused::Stopping);
        let sequencer = lock(&self.sequencer).take();
        join(sequencer);
        self.log.stop_followers();
        let behind: Vec<_> = lock(&self.behind).drain(..).collect();
        behind.into_iter().for_each(|thread| join(Some(thread)));
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the log ended in a panic");
    }
}

impl Drop for Threads {
    /// The last handle is gone. A process that ends while they still use the engine ends in an abort, so they are waited
    /// for here too: for as long as a synced write takes.
    fn drop(&mut self) {
        self.stop();
    }
}
