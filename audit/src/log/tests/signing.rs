//! The signer: what it signs, when, and what it never signs.

use super::*;
use crate::checkpoint::SignedCheckpoint;
use crate::event::Refused;
use crate::log::marked::SignError;
use crate::store::faulty::Fault;

fn mark(rig: &Rig) -> crate::mark::Mark {
    MarkFile::open(&rig.settings.high_water_mark).unwrap().newest().unwrap()
}

#[tokio::test]
async fn the_mark_follows_each_batch_and_never_runs_ahead() {
    let mut rig = Rig::new();
    assert_eq!(mark(&rig).size, 0);
    for size in 1..5 {
        rig.commit(read_of("a")).await.into_event();
        assert_eq!(mark(&rig).size, size);
        assert_eq!(mark(&rig).chain, rig.log.shared.durable().chain);
    }
    rig.store.plan([Fault::UnknownAbsent]);
    let pending = rig.submit(read_of("b"), Changes::default(), ReadSet::default()).await;
    rig.sequencer.step();
    assert!(pending.await.unwrap().is_err());
    assert_eq!(mark(&rig).size, 4);
}

#[tokio::test]
async fn a_checkpoint_is_in_the_mark_and_in_its_row_before_it_is_shown() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    let shown = rig.log.newest_checkpoint().expect("a checkpoint");
    assert_eq!((shown.checkpoint().size, shown.checkpoint().root), (mark(&rig).signed_size, mark(&rig).signed_root));
    let row = rig.log.read(|rows| rows.get(Family::Checkpoints, &rig.log.shared.id.checkpoint(1).bytes)).unwrap();
    assert_eq!(row.as_deref(), Some(shown.note().as_bytes()));
    let keys = [rig.settings.key.verifying_key().clone()];
    assert_eq!(SignedCheckpoint::parse_and_verify(shown.note().as_bytes(), &keys).unwrap(), *shown);
}

#[tokio::test]
async fn checkpoints_come_at_most_every_interval_and_only_for_new_records() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    rig.commit(read_of("b")).await.into_event();
    rig.signer.step();
    assert_eq!(rig.log.newest_checkpoint().unwrap().checkpoint().size, 1);
    rig.clock.pass(100_000);
    rig.signer.step();
    assert_eq!(rig.log.newest_checkpoint().unwrap().checkpoint().size, 2);
    let generation = mark(&rig).generation;
    rig.clock.pass(100_000);
    rig.signer.step();
    assert_eq!(mark(&rig).generation, generation, "an unchanged head is not signed again");
}

#[tokio::test]
async fn the_signer_of_an_idle_log_rests_for_a_whole_interval() {
    let every = Duration::from_millis(100);
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    rig.clock.pass(3_600 * SECOND);
    assert_eq!(rig.signer.pause(&[]), every);
    // Whoever asks for what is signed already is answered at once, whoever asks for more waits until there is more.
    let request = |size| crate::log::shared::CheckpointRequest { size, waiter: tokio::sync::oneshot::channel().0 };
    assert!(rig.signer.pause(&[request(1)]) < every);
    assert_eq!(rig.signer.pause(&[request(2)]), every);
    rig.commit(read_of("b")).await.into_event();
    assert!(rig.signer.pause(&[]) < every, "it is to be signed");
    rig.signer.step();
    assert_eq!(rig.signer.pause(&[]), every);
}

#[tokio::test]
async fn i07_a_smaller_head_or_a_second_root_is_never_signed() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.commit(read_of("b")).await.into_event();
    rig.signer.step();
    let marked = &rig.log.shared.marked;
    let root = rig.log.shared.durable().root;
    assert!(matches!(marked.sign(1, root, 0), Err(SignError::Smaller { size: 1, signed: 2 })));
    assert!(matches!(marked.sign(2, [9; 32], 0), Err(SignError::OtherRoot { size: 2 })));
    assert!(marked.sign(2, root, 0).is_ok());
}

#[tokio::test]
async fn a_checkpoint_that_is_asked_for_covers_all_that_was_committed() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    let log = rig.log.clone();
    let asked = tokio::spawn(async move { log.checkpoint_now().await });
    tokio::task::yield_now().await;
    assert!(!asked.is_finished());
    rig.signer.step();
    assert_eq!(asked.await.unwrap().unwrap().checkpoint().size, 1);
    assert_eq!(rig.log.checkpoint_now().await.unwrap().checkpoint().size, 1, "covered: answered at once");
}

#[tokio::test]
async fn who_waits_for_a_checkpoint_when_the_log_stops_is_told() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.break_mark();
    let log = rig.log.clone();
    let asked = tokio::spawn(async move { log.checkpoint_now().await });
    tokio::task::yield_now().await;
    rig.signer.finish();
    assert_eq!(asked.await.unwrap().unwrap_err(), Refused::Stopping);
}

#[tokio::test]
async fn the_newest_checkpoint_is_shown_again_after_a_restart() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    let shown = rig.log.newest_checkpoint().unwrap();
    let rig = rig.die_and_open().unwrap();
    assert_eq!(rig.log.newest_checkpoint().unwrap(), shown);
}

#[tokio::test]
async fn uncovered_records_age_until_they_are_signed() {
    let mut rig = Rig::new();
    assert_eq!(rig.log.status().uncovered_us, 0);
    rig.commit(read_of("a")).await.into_event();
    rig.clock.pass(SECOND);
    assert_eq!(rig.log.status().uncovered_us, SECOND);
    rig.signer.step();
    assert_eq!(rig.log.status().uncovered_us, 0);
    rig.clock.pass(SECOND);
    assert_eq!(rig.log.status().uncovered_us, 0, "idle is no failure");
}

/// Sizes whose checkpoints the store says are to be kept.
fn kept(rig: &Rig) -> Vec<u64> {
    let keys = rig.log.shared.id.all(b"checkpoint_used/");
    let mut sizes = Vec::new();
    let read = rig.log.read(|rows| {
        rows.scan(Family::Followers, &keys.start, &keys.end, false, &mut |key, _| {
            sizes.extend(crate::log::keys::number(key));
            true
        })
    });
    read.unwrap();
    sizes
}

#[tokio::test]
async fn i09_a_proof_and_an_export_write_nothing_themselves() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    rig.clock.pass(SECOND);
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    assert!(rig.log.inclusion_proof(0, 1).unwrap().is_some());
    assert_eq!(rig.log.export().await.unwrap().checkpoint().checkpoint().size, 2);
    assert!(kept(&rig).is_empty(), "a request thread may not wait for a write");
    rig.signer.step();
    assert_eq!(kept(&rig), [1, 2]);
}

#[tokio::test]
async fn what_is_to_be_kept_while_the_store_is_broken_is_noted_later() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    assert!(rig.log.inclusion_proof(0, 1).unwrap().is_some());
    rig.store.plan([Fault::UnknownAbsent]);
    drop(rig.submit(read_of("b"), Changes::default(), ReadSet::default()).await);
    assert_eq!(rig.sequencer.step(), Turn::Worked);
    rig.signer.step();
    rig.work();
    assert!(kept(&rig).is_empty());
    rig.signer.step();
    assert_eq!(kept(&rig), [1]);
}

#[tokio::test]
async fn what_is_to_be_kept_is_noted_before_the_log_stops() {
    let mut rig = Rig::new();
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    assert!(rig.log.inclusion_proof(0, 1).unwrap().is_some());
    rig.signer.finish();
    assert_eq!(kept(&rig), [1]);
}

#[tokio::test]
async fn day_old_checkpoints_are_thinned_to_one_a_minute_but_used_ones_stay() {
    let mut rig = Rig::new();
    for _ in 0..6 {
        rig.commit(read_of("a")).await.into_event();
        rig.signer.step();
        rig.clock.pass(20 * SECOND);
    }
    assert!(rig.log.inclusion_proof(0, 2).unwrap().is_some());
    rig.clock.pass(25 * 3_600 * SECOND);
    rig.commit(read_of("a")).await.into_event();
    rig.signer.step();
    rig.signer.step();
    let sizes: Vec<bool> = (1..=8).map(|size| rig.log.inclusion_proof(0, size).unwrap().is_some()).collect();
    // 1 to 3 and 4 to 6 share a minute each, and 2 was used; the last batch ends with a seal.
    assert_eq!(sizes, [false, true, true, false, false, true, false, true]);
}

#[tokio::test]
async fn checkpoints_of_a_clock_that_ran_ahead_stay_and_do_not_stop_the_thinning() {
    let mut rig = Rig::new();
    let start_us = rig.environment.clock.wall_us();
    rig.clock.set_wall(start_us + 400 * 24 * 3_600 * SECOND);
    for _ in 0..3 {
        rig.commit(read_of("a")).await.into_event();
        rig.signer.step();
        rig.clock.pass(SECOND);
    }
    rig.clock.set_wall(start_us);
    for _ in 0..3 {
        rig.commit(read_of("a")).await.into_event();
        rig.signer.step();
        rig.clock.pass(SECOND);
    }
    rig.clock.pass(25 * 3_600 * SECOND);
    rig.signer.step();
    let left: Vec<u64> = (1..=rig.log.as_of())
        .filter(|size| {
            let key = rig.log.shared.id.checkpoint(*size);
            rig.log.read(|rows| rows.get(Family::Checkpoints, &key.bytes)).unwrap().is_some()
        })
        .collect();
    // The fourth batch begins with the record of the step.
    assert_eq!(left, [1, 2, 3, 7]);
}
