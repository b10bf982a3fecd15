//! What goes in: order, read sets, deadlines, lanes, seals, time.

use super::*;
use crate::event::Refused;
use crate::hash;
use crate::log::queue::Answer;
use crate::log::sequencer::{Next, Open};
use crate::log::settings::Room;
use crate::record::Value;

#[tokio::test]
async fn a_commit_answers_with_the_place_of_its_record() {
    let mut rig = Rig::new();
    let first = rig.commit(read_of("a")).await;
    let second = rig.commit(read_of("b")).await;
    assert_eq!((first.locator().index, second.locator().index), (0, 1));
    let bytes = rig.log.record(1).unwrap().unwrap();
    assert_eq!(second.locator().leaf, hash::leaf(&bytes));
    assert_eq!(second.locator().chain, rig.log.chain_id());
    assert_eq!(rig.record(1).request(), second.event().draft.request);
    assert_eq!(rig.log.as_of(), 2);
}

#[tokio::test]
async fn i01_nobody_is_answered_before_the_synced_write() {
    let mut rig = Rig::new();
    let pending = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    tokio::task::yield_now().await;
    assert!(!pending.is_finished());
    assert_eq!(rig.log.as_of(), 0);
    rig.work();
    assert!(pending.await.unwrap().is_ok());
}

#[tokio::test]
async fn i02_a_change_and_its_record_are_one_batch() {
    let mut rig = Rig::new();
    rig.store.plan([store::faulty::Fault::NotWritten]);
    let pending = rig.submit(read_of("a"), change("a"), reads(&rig.log, &["a"])).await;
    rig.work();
    assert!(pending.await.unwrap().is_err());
    assert_eq!(rig.log.read(|rows| rows.get(Family::Secrets, b"a")).unwrap(), None);
    assert_eq!((rig.log.as_of(), rig.log.generation(Generation("keys"))), (0, 0));

    let pending = rig.submit(read_of("a"), change("a"), reads(&rig.log, &["a"])).await;
    rig.work();
    assert_eq!(pending.await.unwrap().unwrap().locator().index, 0);
    assert_eq!(rig.log.read(|rows| rows.get(Family::Secrets, b"a")).unwrap(), Some(b"changed".to_vec()));
    assert_eq!((rig.log.as_of(), rig.log.generation(Generation("keys"))), (1, 1));
}

#[tokio::test]
async fn i13_of_two_writers_in_one_batch_the_second_conflicts() {
    let mut rig = Rig::new();
    let first = rig.submit(read_of("a"), change("a"), reads(&rig.log, &["a"])).await;
    let second = rig.submit(read_of("a"), change("a"), reads(&rig.log, &["a"])).await;
    let other = rig.submit(read_of("b"), Changes::default(), reads(&rig.log, &["b"])).await;
    rig.work();
    assert_eq!(first.await.unwrap().unwrap().locator().index, 0);
    assert!(matches!(second.await.unwrap(), Err(CommitError::Conflict(_))));
    assert_eq!(other.await.unwrap().unwrap().locator().index, 1);
}

#[tokio::test]
async fn i13_who_is_sent_back_by_a_change_hears_of_it_when_it_can_see_it() {
    let mut rig = Rig::new();
    let before = rig.log.as_of();
    let submit = |changes, reads: &ReadSet| rig.log.submit(&read_of("a"), changes, reads.clone(), None);
    let stale = reads(&rig.log, &["a"]);
    let generation = ReadSet { generations: vec![(Generation("keys"), 0)], ..ReadSet::default() };
    let mut put = submit(change("a"), &stale).ok().unwrap();
    let mut get = submit(Changes::default(), &stale).ok().unwrap();
    let mut other = submit(Changes::default(), &generation).ok().unwrap();
    let clock = rig.sequencer.clock;
    let batch = rig.sequencer.build(rig.log.shared.lanes.drain(usize::MAX)).unwrap();
    for waiting in [&mut put, &mut get, &mut other] {
        assert!(waiting.answered().is_none(), "nothing is durable yet");
    }
    let built = rig.sequencer.close(Open { batch, clock_before: clock });
    rig.sequencer.write(built);
    assert!(matches!(put.answered(), Some(Answer::Committed(_))));
    for mut waiting in [get, other] {
        assert_eq!(waiting.answered(), Some(Answer::Conflict));
    }
    assert_eq!(rig.log.as_of(), before + 1);
    let again = rig.submit(read_of("a"), Changes::default(), reads(&rig.log, &["a"])).await;
    rig.work();
    assert!(again.await.unwrap().is_ok(), "the second attempt sees the change");
}

#[tokio::test]
async fn a_conflict_with_what_is_durable_is_answered_before_the_write() {
    let mut rig = Rig::new();
    let stale = reads(&rig.log, &["a"]);
    let changed = rig.submit(read_of("a"), change("a"), ReadSet::default()).await;
    rig.work();
    assert!(changed.await.unwrap().is_ok());
    let mut late = rig.log.submit(&read_of("a"), Changes::default(), stale, None).ok().unwrap();
    let other = rig.log.submit(&read_of("b"), change("b"), ReadSet::default(), None);
    let batch = rig.sequencer.build(rig.log.shared.lanes.drain(usize::MAX)).unwrap();
    assert!(other.is_ok() && !batch.is_empty());
    assert_eq!(late.answered(), Some(Answer::Conflict));
}

#[tokio::test]
async fn who_was_sent_back_by_a_change_that_failed_is_told_too() {
    let mut rig = Rig::new();
    rig.store.plan([store::faulty::Fault::NotWritten]);
    let stale = reads(&rig.log, &["a"]);
    let put = rig.submit(read_of("a"), change("a"), stale.clone()).await;
    let get = rig.submit(read_of("a"), Changes::default(), stale).await;
    assert_eq!(rig.sequencer.step(), Turn::Worked);
    assert!(matches!(put.await.unwrap(), Err(CommitError::Unavailable(..))));
    assert!(matches!(get.await.unwrap(), Err(CommitError::Conflict(_))));
}

#[tokio::test]
async fn i13_a_read_of_a_row_that_changed_since_its_snapshot_conflicts() {
    let mut rig = Rig::new();
    let stale = reads(&rig.log, &["a"]);
    let change = rig.submit(read_of("a"), change("a"), ReadSet::default()).await;
    rig.work();
    assert!(change.await.unwrap().is_ok());
    let late = rig.submit(read_of("a"), Changes::default(), stale).await;
    let fresh = rig.submit(read_of("a"), Changes::default(), reads(&rig.log, &["a"])).await;
    rig.work();
    assert!(matches!(late.await.unwrap(), Err(CommitError::Conflict(_))));
    assert!(fresh.await.unwrap().is_ok());
}

#[tokio::test]
async fn i13_a_generation_that_moved_conflicts_in_the_same_batch_too() {
    let mut rig = Rig::new();
    let seen = |value| ReadSet { generations: vec![(Generation("keys"), value)], ..ReadSet::default() };
    let before = rig.submit(read_of("a"), Changes::default(), seen(0)).await;
    let mover = rig.submit(read_of("a"), change("x"), seen(0)).await;
    let after = rig.submit(read_of("a"), Changes::default(), seen(0)).await;
    rig.work();
    assert!(before.await.unwrap().is_ok());
    assert_eq!(mover.await.unwrap().unwrap().locator().index, 1);
    assert!(matches!(after.await.unwrap(), Err(CommitError::Conflict(_))));
    assert_eq!(rig.log.generation(Generation("keys")), 2);
    let known = rig.submit(read_of("a"), Changes::default(), seen(2)).await;
    rig.work();
    assert!(known.await.unwrap().is_ok());
}

#[tokio::test]
async fn i13_generations_survive_a_restart_and_old_snapshots_do_not() {
    let mut rig = Rig::new();
    let mover = rig.submit(read_of("a"), change("a"), ReadSet::default()).await;
    rig.work();
    assert!(mover.await.unwrap().is_ok());
    rig.commit(read_of("b")).await.into_event();
    let mut rig = rig.die_and_open().unwrap();
    assert_eq!(rig.log.generation(Generation("keys")), 1);
    let old = ReadSet { as_of: 1, rows: vec![row("never written")], generations: Vec::new() };
    let old = rig.submit(read_of("a"), Changes::default(), old).await;
    rig.work();
    assert!(matches!(old.await.unwrap(), Err(CommitError::Conflict(_))), "the table does not reach below the start");
}

#[tokio::test]
async fn past_its_deadline_a_submission_is_dropped_unwritten() {
    let mut rig = Rig::new();
    let pending = rig.submit(read_of("a"), change("a"), ReadSet::default()).await;
    rig.clock.pass(601 * SECOND);
    rig.work();
    assert!(matches!(pending.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Deadline))));
    assert_eq!(rig.log.as_of(), 0);
}

#[tokio::test]
async fn a_read_that_became_durable_too_late_is_answered_by_an_outcome() {
    let mut rig = Rig::with(Limits { deadline: Duration::from_millis(1), ..limits() });
    let read = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    let written = rig.submit(read_of("a"), change("a"), ReadSet::default()).await;
    let denied = rig.submit(denial_of("a"), Changes::default(), ReadSet::default()).await;
    for pending in [read, written, denied] {
        assert!(matches!(pending.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Deadline))));
    }
    rig.work();
    // The reserve goes first: the denial, then the read, then the change. Only the read released nothing after all.
    assert_eq!(rig.kinds(), [Kind::Access, Kind::Access, Kind::Access, Kind::Outcome]);
    let (answered, outcome) = (rig.record(1), rig.record(3));
    assert_eq!(outcome.outcome(), Some(Outcome::Failed));
    assert_eq!(outcome.draft().parameters.get("cause"), Some(&Value::from("deadline")));
    assert_eq!(outcome.draft().answers, Some(answered.index()));
    assert_eq!(outcome.request(), answered.request());
    assert_eq!(outcome.resource(), Some(secret("a").as_str()));
}

#[tokio::test]
async fn the_oldest_that_waits_is_told_in_the_queue_and_in_a_write() {
    let mut rig = Rig::new();
    assert_eq!((rig.log.status().waiting_us, rig.log.status().writing), (0, true));
    let first = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    rig.clock.pass(2 * SECOND);
    let second = rig.submit(denial_of("a"), Changes::default(), ReadSet::default()).await;
    rig.clock.pass(SECOND);
    assert_eq!(rig.log.status().waiting_us, 3 * SECOND);
    let clock = rig.sequencer.clock;
    let batch = rig.sequencer.build(rig.log.shared.lanes.drain(usize::MAX)).unwrap();
    assert_eq!(rig.log.status().queued, 0);
    assert_eq!(rig.log.status().waiting_us, 3 * SECOND, "its write hangs");
    let built = rig.sequencer.close(Open { batch, clock_before: clock });
    rig.sequencer.write(built);
    rig.work();
    assert_eq!(rig.log.status().waiting_us, 0);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    let third = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    rig.clock.pass(SECOND);
    rig.store.plan([store::faulty::Fault::UnknownAbsent]);
    assert_eq!(rig.sequencer.step(), Turn::Worked);
    assert!(third.await.unwrap().is_err());
    assert_eq!(rig.log.status().waiting_us, 0, "it was refused");
}

#[tokio::test]
async fn a_sequencer_that_ended_is_told() {
    let rig = Rig::new();
    let Rig { log, sequencer, .. } = rig;
    drop(sequencer);
    assert!(!log.status().writing);
}

#[tokio::test]
async fn an_unhurried_commit_waits_past_the_deadline() {
    let mut rig = Rig::with(Limits { deadline: Duration::from_millis(1), ..limits() });
    let hurried = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    let unhurried = rig.submit_unhurried(read_of("b")).await;
    assert!(matches!(hurried.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Deadline))));
    rig.clock.pass(3_600 * SECOND);
    assert!(!unhurried.is_finished());
    rig.work();
    assert_eq!(unhurried.await.unwrap().expect("a committed event").locator().index, 0);
}

#[tokio::test]
async fn an_unhurried_commit_is_refused_like_any_other() {
    let mut rig = Rig::new();
    rig.watcher.set_level(crate::disk::Level::Hard);
    let refused = rig.submit_unhurried(read_of("a")).await;
    assert!(matches!(refused.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Disk))));
    rig.watcher.set_level(crate::disk::Level::Ample);
    let mut long = read_of("a");
    let text = "x".repeat(9_000);
    long.draft.parameters.insert("long".to_owned(), text.into());
    let long = rig.submit_unhurried(long).await;
    assert!(matches!(long.await.unwrap(), Err(CommitError::TooLarge(_))));
    let dropped = rig.submit_unhurried(read_of("a")).await;
    drop(rig.log.shared.lanes.drain(usize::MAX));
    assert!(
        matches!(dropped.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Store))),
        "a sequencer that died cannot say that nothing was written"
    );
    rig.work();
}

#[tokio::test]
async fn i03_a_full_lane_does_not_fill_the_others() {
    let one = Room { records: 1, bytes: 100_000 };
    let mut rig = Rig::with(Limits { caller: one, nameless: one, ..limits() });
    let nameless = |mut event: Happened| {
        event.lane = Lane::Nameless;
        event
    };
    let first = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    let second = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    assert!(matches!(second.await.unwrap(), Err(CommitError::Unavailable(_, Refused::QueueFull))));
    let denial = rig.submit(denial_of("a"), Changes::default(), ReadSet::default()).await;
    let flood = rig.submit(nameless(denial_of("a")), Changes::default(), ReadSet::default()).await;
    rig.work();
    for pending in [first, denial, flood] {
        assert!(pending.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_batch_takes_no_more_than_its_room() {
    let mut rig = Rig::with(Limits { batch: Room { records: 2, bytes: 1 << 20 }, ..limits() });
    let mut pending = Vec::new();
    for _ in 0..5 {
        pending.push(rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await);
    }
    for size in [2, 4, 5] {
        assert_eq!(rig.sequencer.step(), Turn::Worked);
        assert_eq!(rig.log.as_of(), size);
    }
    for (index, pending) in pending.into_iter().enumerate() {
        assert_eq!(pending.await.unwrap().unwrap().locator().index, index as u64, "oldest first");
    }
}

#[tokio::test]
async fn a_record_over_the_limit_is_refused_before_the_queue() {
    let rig = Rig::new();
    let mut event = read_of("a");
    event.draft.parameters.insert("long".to_owned(), "x".repeat(9_000).into());
    let pending = rig.submit(event, Changes::default(), ReadSet::default()).await;
    assert!(matches!(pending.await.unwrap(), Err(CommitError::TooLarge(_))));
}

#[tokio::test]
async fn i02_changes_of_the_logs_own_families_are_refused() {
    let rig = Rig::new();
    for family in [Family::Records, Family::State, Family::Tiles, Family::Indexes, Family::Checkpoints] {
        let writes = vec![Write { key: Key::new(family, "x"), value: None }];
        let pending = rig.submit(read_of("a"), Changes { writes, ..Changes::default() }, ReadSet::default()).await;
        assert!(matches!(pending.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Store))), "{family:?}");
    }
}

#[tokio::test]
async fn a_seal_is_written_after_so_many_records_with_their_counts() {
    let mut rig = Rig::with(Limits { seal_records: 3, ..limits() });
    let mut pending = Vec::new();
    for name in ["a", "b", "c", "d"] {
        pending.push(rig.submit(read_of(name), Changes::default(), ReadSet::default()).await);
    }
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Access, Kind::Access, Kind::Access, Kind::Seal, Kind::Access]);
    let seal = rig.record(3);
    let parameters = &seal.draft().parameters;
    assert_eq!(parameters.get("size"), Some(&Value::Integer(3)));
    assert_eq!(parameters.get("previous"), None);
    let counts = parameters.get("counts").and_then(Value::as_object).unwrap();
    assert_eq!(counts.get("access"), Some(&Value::Integer(3)));
    for name in ["e", "f", "g"] {
        rig.commit(read_of(name)).await.into_event();
    }
    assert_eq!(rig.record(7).kind(), Kind::Seal);
    assert_eq!(rig.record(7).draft().parameters.get("previous"), Some(&Value::Integer(3)));
}

#[tokio::test]
async fn an_idle_turn_does_not_hide_how_long_a_batch_that_is_being_written_waits() {
    let mut rig = Rig::new();
    let pending = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    let Next::Write(open) = rig.sequencer.next() else { panic!("a batch") };
    let built = rig.sequencer.close(*open);
    rig.clock.pass(SECOND);
    let waiting_us = |rig: &Rig| rig.log.shared.lanes.waiting_us(rig.clock.monotonic_us());
    assert!(matches!(rig.sequencer.next(), Next::Turn(Turn::Idle)));
    assert_eq!(waiting_us(&rig), SECOND);
    rig.sequencer.write(built);
    assert_eq!(waiting_us(&rig), 0);
    pending.await.unwrap().expect("a committed event").into_event();
}

#[tokio::test]
async fn an_idle_hour_is_sealed_too_and_across_a_restart() {
    let mut rig = Rig::new();
    rig.work();
    assert_eq!(rig.log.as_of(), 0);
    rig.clock.pass(3_600 * SECOND);
    rig.work();
    rig.clock.pass(3_599 * SECOND);
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Seal]);
    rig.clock.begin_anew();
    let mut rig = rig.die_and_open().unwrap();
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Seal]);
    rig.clock.pass(SECOND);
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Seal, Kind::Seal]);
    // It was due while nothing ran.
    rig.clock.pass(3_601 * SECOND);
    rig.clock.begin_anew();
    let mut rig = rig.die_and_open().unwrap();
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Seal; 3]);
}

#[tokio::test]
async fn a_clock_step_is_recorded_before_the_first_record_of_its_segment() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    let before = rig.record(0).time_us();
    rig.clock.set_wall(before - 100 * SECOND);
    rig.commit(read_of("b")).await.into_event();
    assert_eq!(rig.kinds(), [Kind::Access, Kind::ClockStep, Kind::Access]);
    let step = rig.record(1);
    assert_eq!(step.time_us(), before - 100 * SECOND);
    assert_eq!(step.draft().parameters.get("after"), Some(&Value::Integer(step.time_us())));
    assert_eq!(step.draft().parameters.get("before"), Some(&Value::Integer(before)));
    assert_eq!(step.draft().parameters.get("source"), Some(&Value::from("monotonic")));
    assert_eq!(rig.record(2).time_us(), step.time_us());
}

#[tokio::test]
async fn a_clock_that_went_back_while_nothing_ran_is_recorded_at_start() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    let before = rig.record(0).time_us();
    rig.clock.set_wall(before - 2 * SECOND);
    let mut rig = rig.die_and_open().unwrap();
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Access, Kind::ClockStep]);
    assert_eq!(rig.record(1).draft().parameters.get("source"), Some(&Value::from("start")));
}

#[tokio::test]
async fn i09_the_levels_of_the_disk_rule_who_is_let_in() {
    use crate::disk::Level;
    let mut rig = Rig::new();
    rig.watcher.set_level(Level::Hard);
    let caller = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
    assert!(matches!(caller.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Disk))));
    rig.commit(denial_of("a")).await.into_event();
    rig.watcher.set_level(Level::Critical);
    let denial = rig.submit(denial_of("a"), Changes::default(), ReadSet::default()).await;
    assert!(matches!(denial.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Disk))));
    rig.work();
    let events: Vec<_> = (0..rig.log.as_of()).map(|index| rig.record(index)).collect();
    let said = |record: &Record| record.draft().parameters.get("event").and_then(Value::as_text).map(str::to_owned);
    let said: Vec<_> = events.iter().filter_map(said).collect();
    assert_eq!(said, ["disk_level", "disk_level", "audit_stopped"]);
    assert_eq!(rig.log.status().disk, Level::Critical);
    rig.watcher.set_level(Level::Ample);
    rig.commit(read_of("a")).await.into_event();
}

/// An event with a record that goes before its own.
#[derive(Debug)]
struct Following(Happened, Draft);

impl Event for Following {
    fn draft(&self) -> &Draft {
        self.0.draft()
    }

    fn preceding(&self) -> Option<&Draft> {
        Some(&self.1)
    }
}

fn following() -> Following {
    Following(read_of("b"), read_of("a").draft().clone())
}

#[tokio::test]
async fn i02_a_record_that_precedes_another_is_in_its_batch_or_nowhere() {
    let mut rig = Rig::new();
    for fault in [store::faulty::Fault::NotWritten, store::faulty::Fault::UnknownAbsent] {
        rig.store.plan([fault]);
        let log = rig.log.clone();
        let pending =
            tokio::spawn(async move { log.commit(following(), Changes::default(), ReadSet::default()).await });
        tokio::task::yield_now().await;
        while !pending.is_finished() {
            rig.work();
            tokio::task::yield_now().await;
        }
        assert!(pending.await.unwrap().is_err());
        rig.work();
        assert_eq!(rig.log.as_of(), 0, "it is not written alone");
    }
    let log = rig.log.clone();
    let pending = tokio::spawn(async move { log.commit(following(), change("a"), ReadSet::default()).await });
    tokio::task::yield_now().await;
    rig.work();
    assert_eq!(pending.await.unwrap().unwrap().locator().index, 1);
    assert_eq!(rig.log.as_of(), 2);
    assert_eq!(rig.log.generation(Generation("keys")), 2, "changes ride with the record that was submitted");
}

#[tokio::test]
async fn a_row_can_hold_the_index_of_the_record_that_it_rides_with() {
    let mut rig = Rig::new();
    let _committed = rig.commit(read_of("a")).await;
    let changes = Changes { indexed: vec![row("place")], ..Changes::default() };
    let pending = rig.submit(read_of("a"), changes, reads(&rig.log, &["place"])).await;
    let second = rig.submit(read_of("a"), change("place"), reads(&rig.log, &["place"])).await;
    rig.work();
    let index = pending.await.unwrap().unwrap().locator().index;
    assert_eq!(rig.log.read(|rows| rows.get(Family::Secrets, b"place")).unwrap(), Some(index.to_be_bytes().to_vec()));
    assert!(matches!(second.await.unwrap(), Err(CommitError::Conflict(_))), "it is a write like any other");
    let foreign = Changes { indexed: vec![Key::new(Family::State, "head")], ..Changes::default() };
    assert!(rig.log.submit(&read_of("a"), foreign, ReadSet::default(), None).is_err());
}

#[tokio::test]
async fn i13_what_is_decided_before_a_step_of_the_clock_is_sent_back_by_it() {
    let mut rig = Rig::new();
    let _committed = rig.commit(read_of("a")).await;
    let seen = rig.log.generation(crate::log::CLOCK);
    assert_eq!((seen, rig.log.stepped_at_us(seen).unwrap()), (0, None));
    let decided = ReadSet { generations: vec![(crate::log::CLOCK, seen)], ..ReadSet::default() };
    rig.clock.set_wall(rig.clock.wall_us() - 3_600 * SECOND);
    let pending = rig.submit(read_of("b"), Changes::default(), decided).await;
    rig.work();
    assert!(matches!(pending.await.unwrap(), Err(CommitError::Conflict(_))));
    let seen = rig.log.generation(crate::log::CLOCK);
    let step = rig.record(seen - 1);
    assert_eq!(step.kind(), Kind::ClockStep);
    assert_eq!(rig.log.stepped_at_us(seen).unwrap(), Some(step.time_us()));
}

#[tokio::test]
async fn a_watermark_is_remembered_by_its_name() {
    let rig = Rig::new();
    assert_eq!(rig.log.watermark("work").unwrap(), 0);
    rig.log.set_watermark("work", 7).unwrap();
    assert_eq!((rig.log.watermark("work").unwrap(), rig.log.watermark("other").unwrap()), (7, 0));
    assert_eq!(rig.log.watermark("indexes").unwrap(), 0);
}
