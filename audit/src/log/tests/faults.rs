//! Write errors (audit-log.md 7): refuse, reopen, read back, serve.

use super::*;
use crate::event::Refused;
use crate::log::Mode;
use crate::record::Value;
use crate::store::faulty::Fault;

async fn fail(rig: &mut Rig, fault: Fault, event: Happened, changes: Changes) -> CommitError<Happened> {
    rig.store.plan([fault]);
    let pending = rig.submit(event, changes, ReadSet::default()).await;
    assert_eq!(rig.sequencer.step(), Turn::Worked);
    pending.await.unwrap().expect_err("no commit")
}

#[tokio::test]
async fn i09_while_the_store_is_broken_everybody_is_refused_at_once() {
    let mut rig = Rig::new();
    rig.store.fail_reopens(3);
    let error = fail(&mut rig, Fault::UnknownAbsent, read_of("a"), Changes::default()).await;
    assert!(matches!(error, CommitError::Unavailable(_, Refused::Store)));
    for _ in 0..3 {
        assert!(matches!(rig.sequencer.step(), Turn::Broken(_)));
        assert_eq!(rig.log.status().mode, Mode::Reopening);
        let refused = rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await;
        assert!(matches!(refused.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Store))));
    }
    rig.work();
    assert_eq!(rig.log.status().mode, Mode::Serving);
    assert_eq!(rig.commit(read_of("a")).await.locator().index, 0);
}

#[tokio::test]
async fn a_reopened_store_with_nothing_new_in_it_is_covered_by_the_head_that_was_signed_before() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    fail(&mut rig, Fault::UnknownAbsent, read_of("b"), Changes::default()).await;
    rig.work();
    rig.clock.pass(11 * SECOND);
    rig.signer.step();
    assert_eq!(rig.log.status().uncovered_us, 0);
    rig.commit(read_of("c")).await.into_event();
    rig.clock.pass(SECOND);
    assert_eq!(rig.log.status().uncovered_us, SECOND, "what is new counts");
}

#[tokio::test]
async fn what_waits_behind_a_failed_batch_is_failed_and_never_written() {
    let mut rig = Rig::with(Limits { batch: crate::log::Room { records: 1, bytes: 1 << 20 }, ..limits() });
    let behind = rig.submit(read_of("b"), Changes::default(), ReadSet::default()).await;
    let error = fail(&mut rig, Fault::NotWritten, read_of("a"), Changes::default());
    // The one in front is `behind`, which fails with its batch; the other one waits behind it.
    assert!(matches!(error.await, CommitError::Unavailable(_, Refused::Store)));
    assert!(matches!(behind.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Store))));
    rig.work();
    assert_eq!(rig.log.as_of(), 0);
}

#[tokio::test]
async fn a_failed_write_that_is_not_found_never_was() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    fail(&mut rig, Fault::UnknownAbsent, read_of("lost"), change("x")).await;
    rig.work();
    assert_eq!(rig.store.reopened(), 1);
    assert_eq!(rig.commit(read_of("b")).await.locator().index, 1, "its index is free");
    assert_eq!(rig.log.read(|rows| rows.get(Family::Secrets, b"x")).unwrap(), None);
    assert_eq!(rig.log.generation(Generation("keys")), 0);
    assert_eq!(rig.kinds(), [Kind::Access, Kind::Access]);
}

#[tokio::test]
async fn a_failed_write_that_is_found_stays_and_an_outcome_says_so() {
    let mut rig = Rig::new();
    let event = read_of("a");
    let request = event.draft.request.clone();
    let error = fail(&mut rig, Fault::UnknownPresent, event, Changes::default()).await;
    assert!(matches!(error, CommitError::Unavailable(_, Refused::Store)));
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Access, Kind::Outcome]);
    let outcome = rig.record(1);
    assert_eq!((outcome.draft().answers, outcome.request()), (Some(0), request.as_str()));
    assert_eq!(outcome.draft().parameters.get("cause"), Some(&Value::from("unknown_commit")));
    assert_eq!(rig.commit(read_of("b")).await.locator().index, 2, "no index is used twice");
}

#[tokio::test]
async fn an_event_whose_commit_failed_is_found_once_the_store_is_back_if_it_was_written() {
    for (fault, expected) in [(Fault::UnknownPresent, Some(2)), (Fault::UnknownAbsent, None)] {
        let mut rig = Rig::new();
        rig.commit(read_of("a")).await.into_event();
        rig.commit(read_of("a")).await.into_event();
        let event = denial_of("b");
        let request = event.draft.request.clone();
        let from = rig.log.as_of();
        rig.store.plan([fault]);
        let pending = rig.submit_unhurried(event).await;
        assert_eq!(rig.sequencer.step(), Turn::Worked);
        assert!(matches!(pending.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Store))));
        let early = rig.log.find(from, &request, Kind::Access);
        assert!(matches!(early, Err(store::StoreError::Closed)), "{early:?}");
        rig.work();
        rig.commit(read_of("c")).await.into_event();
        assert_eq!(rig.log.find(from, &request, Kind::Access).unwrap(), expected);
        assert_eq!(rig.log.find(0, &request, Kind::Access).unwrap(), expected);
        assert_eq!(rig.log.find(0, &request, Kind::Summary).unwrap(), None);
        assert_eq!(rig.log.find(3, &request, Kind::Access).unwrap(), None);
    }
}

#[tokio::test]
async fn a_durable_event_is_not_looked_for_before_the_mark_covers_it() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.break_mark();
    let event = read_of("b");
    let request = event.draft.request.clone();
    let pending = rig.submit_unhurried(event).await;
    assert_eq!(rig.sequencer.step(), Turn::Worked);
    assert!(pending.await.unwrap().is_err());
    assert!(matches!(rig.log.find(1, &request, Kind::Access), Err(store::StoreError::Closed)));
}

#[tokio::test]
async fn an_event_is_found_over_many_records_and_never_past_a_missing_one() {
    let mut rig = Rig::new();
    for _ in 0..1_500 {
        drop(rig.submit(read_of("a"), Changes::default(), ReadSet::default()).await);
    }
    rig.work();
    for index in [0, 1_023, 1_024, 1_499] {
        let request = rig.record(index).request().to_owned();
        assert_eq!(rig.log.find(0, &request, Kind::Access).unwrap(), Some(index));
        assert_eq!(rig.log.find(index, &request, Kind::Access).unwrap(), Some(index));
        assert_eq!(rig.log.find(index + 1, &request, Kind::Access).unwrap(), None);
    }
    let last = rig.record(1_499).request().to_owned();
    rig.tamper(rig.log.shared.id.record(1_400), None);
    let missing = rig.log.find(0, &last, Kind::Access).unwrap_err();
    assert!(missing.to_string().contains("index 1400"), "{missing}");
}

#[tokio::test]
async fn a_failed_change_that_is_found_holds() {
    let mut rig = Rig::new();
    fail(&mut rig, Fault::UnknownPresent, read_of("a"), change("x")).await;
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Access], "its change was made, as it says");
    assert_eq!(rig.log.generation(Generation("keys")), 1);
    let stale = ReadSet { generations: vec![(Generation("keys"), 0)], ..ReadSet::default() };
    let stale = rig.submit(read_of("a"), Changes::default(), stale).await;
    rig.work();
    assert!(matches!(stale.await.unwrap(), Err(CommitError::Conflict(_))));
}

#[tokio::test]
async fn i13_a_snapshot_from_before_the_failure_is_too_old() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    let before = reads(&rig.log, &["x"]);
    fail(&mut rig, Fault::UnknownPresent, read_of("a"), change("x")).await;
    rig.work();
    let stale = rig.submit(read_of("a"), Changes::default(), before).await;
    rig.work();
    assert!(matches!(stale.await.unwrap(), Err(CommitError::Conflict(_))));
}

#[tokio::test]
async fn records_of_the_log_itself_that_were_not_written_are_written_anew() {
    let mut rig = Rig::new();
    rig.watcher.set_level(crate::disk::Level::Soft);
    rig.store.plan([Fault::UnknownAbsent]);
    rig.work();
    assert_eq!(rig.kinds(), [Kind::System]);
}

#[tokio::test]
async fn a_clock_step_whose_write_failed_is_recorded_all_the_same() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.clock.set_wall(rig.record(0).time_us() - 50 * SECOND);
    rig.store.plan([Fault::UnknownAbsent]);
    rig.work();
    assert_eq!(rig.kinds(), [Kind::Access, Kind::ClockStep]);
}

#[tokio::test]
async fn i07_a_reopened_store_below_the_mark_is_not_served() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    let head = rig.log.read(|rows| rows.get(Family::State, &rig.log.shared.id.state("head").bytes)).unwrap();
    rig.commit(read_of("b")).await.into_event();
    rig.tamper(rig.log.shared.id.record(1), None);
    rig.tamper(rig.log.shared.id.state("head"), head);
    let frontier = crate::tree::Frontier::new();
    let mut frontier = frontier;
    frontier.push(crate::hash::leaf(&rig.log.record(0).unwrap().unwrap()));
    rig.tamper(rig.log.shared.id.state("frontier"), Some(frontier.encode()));
    // Another writer has moved the head: the guard of the next batch does not hold.
    let pending = rig.submit(read_of("c"), Changes::default(), ReadSet::default()).await;
    assert_eq!(rig.sequencer.step(), Turn::Worked);
    assert!(matches!(pending.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Store))));
    for _ in 0..5 {
        assert!(matches!(rig.sequencer.step(), Turn::Broken(_)));
        assert_eq!(rig.log.status().mode, Mode::Lost);
    }
}

#[tokio::test]
async fn a_mark_that_cannot_be_written_stops_service() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.break_mark();
    let pending = rig.submit(read_of("b"), Changes::default(), ReadSet::default()).await;
    assert_eq!(rig.sequencer.step(), Turn::Worked);
    assert!(matches!(pending.await.unwrap(), Err(CommitError::Unavailable(_, Refused::Store))));
    assert!(matches!(rig.sequencer.step(), Turn::Broken(_)), "durable, but the mark does not cover it");
}

#[tokio::test]
async fn a_failed_write_of_derived_rows_has_the_store_reopened() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.store.plan([Fault::UnknownAbsent]);
    let spend = store::Store::commit(rig.store.as_ref(), &[], &[]);
    assert!(matches!(spend, store::Commit::Unknown(_)), "the handle is spent behind the sequencer's back");
    assert!(rig.log.shared.write_derived(&[]).is_err());
    rig.work();
    assert_eq!((rig.store.reopened(), rig.log.status().mode), (1, Mode::Serving));
    assert_eq!(rig.commit(read_of("b")).await.locator().index, 1);
}
