//! Questions: whatever index is used, the answer is that of reading every record.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::log::Page;
use crate::log::index::Facts;

const NAMES: [&str; 4] = ["prod/pay/a", "prod/pay/b", "prod/x", "top"];
const PRINCIPALS: [&str; 3] = ["user/dev/app", "user/corp/lee", "role/local/reader"];

/// A log with records of every sort, clock steps included; indexed up to `indexed` of its records.
async fn mixed(records: usize, indexed: usize) -> Rig {
    let mut rig = Rig::with(Limits { seal_records: 16, ..limits() });
    for number in 0..records {
        if number == indexed {
            rig.index();
        }
        let mut event = if number % 5 == 0 { denial_of(NAMES[number % 4]) } else { read_of(NAMES[number % 4]) };
        event.draft.principal = Some(PRINCIPALS[number % 3].to_owned());
        event.draft.issuer = (number % 2 == 0).then(|| "https://idp.corp.example".to_owned());
        if number % 11 == 10 {
            // A key, and now and then one that is called as a secret is.
            let id = if number % 2 == 0 { "k-1" } else { "top" };
            event.draft.resource = Some(format!("qcs::kms:local:uin/1:key/{id}"));
        }
        if number % 13 == 12 {
            // A role, and now and then one that is called as a secret is.
            let role = if number % 2 == 0 { "reader" } else { "top" };
            event.draft.resource = Some(format!("qcs::cam::uin/1:roleName/{role}"));
        }
        if number % 7 == 0 {
            event.draft.action = "ssm:DescribeSecret".to_owned();
            let groups = BTreeSet::from(["group/corp/ops".to_owned()]);
            event.draft.context = Some(crate::record::Context { groups, ..Default::default() });
        }
        rig.clock.pass(SECOND);
        if number % 20 == 19 {
            let back = rig.environment.clock.wall_us() - 8 * SECOND;
            rig.clock.set_wall(back);
        }
        rig.commit(event).await.into_event();
    }
    rig
}

/// The naive answer: every record, newest first, held against the filters one by one.
fn naive(rig: &Rig, query: &Query) -> Vec<u64> {
    let resource_name = |resource: &str| resource.rsplit_once("creatorUin/42/").map(|(_, name)| name.to_owned());
    let mut found = Vec::new();
    for index in (0..rig.log.as_of()).rev() {
        let record = rig.record(index);
        let draft = record.draft();
        let wanted = query.principal.as_ref().is_none_or(|p| draft.principal.as_ref() == Some(p))
            && query.issuer.as_ref().is_none_or(|i| draft.issuer.as_ref() == Some(i))
            && query.action.as_ref().is_none_or(|a| &draft.action == a)
            && query.resource.as_ref().is_none_or(|r| draft.resource.as_ref() == Some(r))
            && query.decision.is_none_or(|d| draft.decision == Some(d))
            && query.outcome.is_none_or(|o| draft.outcome == Some(o))
            && query.start_index.is_none_or(|start| index >= start)
            && query.end_index.is_none_or(|end| index < end)
            && query.start_time_us.is_none_or(|start| record.time_us() >= start)
            && query.end_time_us.is_none_or(|end| record.time_us() < end)
            && query.group.as_ref().is_none_or(|g| draft.context.as_ref().is_some_and(|c| c.groups.contains(g)))
            && query.resource_prefix.as_ref().is_none_or(|prefix| {
                draft.resource.as_deref().and_then(resource_name).is_some_and(|name| name.starts_with(prefix))
            })
            && query.resource_name.as_ref().is_none_or(|wanted| {
                let last = |resource: &str| {
                    let (_, name) = resource.splitn(6, ':').last()?.split_once('/')?;
                    Some(name.to_owned())
                };
                let name = |resource: &str| resource_name(resource).or_else(|| last(resource));
                let name = draft.resource.as_deref().and_then(name);
                name.as_ref() == Some(wanted)
            });
        if wanted {
            found.push(index);
        }
    }
    found
}

fn paged(rig: &Rig, query: &Query) -> Vec<u64> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let Page { records, next_before, size, .. } = rig.log.search(&query).unwrap();
        assert!(records.len() <= query.limit);
        found.extend(records.iter().map(|(index, _)| *index));
        match next_before {
            Some(before) => query = Query { before: Some(before), size: Some(size), ..query },
            None => return found,
        }
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.3, prop::sample::select(values))
}

fn queries(base_us: u64) -> impl Strategy<Value = Query> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let times = move || prop::option::weighted(0.3, (0..60_u64).prop_map(move |s| base_us + s * SECOND));
    let who = (
        some(owned(&PRINCIPALS)),
        some(owned(&["https://idp.corp.example"])),
        some(owned(&["group/corp/ops", "group/x/y"])),
    );
    let what = (
        some(NAMES.map(secret).to_vec()),
        some(owned(&["prod/", "prod/pay", "t", "nothing"])),
        some(owned(&["ssm:GetSecretValue", "ssm:DescribeSecret", "keyward:Seal"])),
        some(vec![Decision::Allow, Decision::Deny]),
        some(vec![Outcome::Ok, Outcome::Denied]),
        some(owned(&["prod/pay/a", "top", "k-1", "reader", "nothing"])),
    );
    let bounds = (times(), times(), prop::option::of(0..70_u64), prop::option::of(0..70_u64));
    let paging = (1..20_usize, 1..40_usize, any::<bool>());
    (who, what, bounds, paging).prop_map(|(who, what, bounds, paging)| Query {
        principal: who.0,
        issuer: who.1,
        group: who.2,
        resource: what.0,
        resource_prefix: what.1,
        resource_name: what.5,
        action: what.2,
        decision: what.3,
        outcome: what.4,
        start_time_us: bounds.0,
        end_time_us: bounds.1,
        start_index: bounds.2,
        end_index: bounds.3,
        before: None,
        size: None,
        limit: paging.0,
        scan_max: paging.1,
        full_scan: paging.2,
    })
}

#[test]
fn every_question_is_answered_as_by_reading_every_record() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for indexed in [0, 25, 59] {
        let rig = runtime.block_on(mixed(60, indexed));
        let base_us = rig.record(0).time_us();
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
        let checked = runner.run(&queries(base_us), |query| {
            prop_assert_eq!(paged(&rig, &query), naive(&rig, &query));
            Ok(())
        });
        checked.unwrap();
    }
}

#[tokio::test]
async fn i11_what_was_done_to_a_role_is_found_by_its_name_once_it_is_indexed() {
    let mut rig = mixed(3, 0).await;
    let mut taken = read_of("unused");
    taken.draft.resource = Some("qcs::cam::uin/1:roleName/deployer".to_owned());
    let index = rig.commit(taken).await.locator().index;
    let named = Query { resource_name: Some("deployer".to_owned()), ..everything() };
    assert_eq!(paged(&rig, &named), [index]);
    rig.index();
    assert_eq!(paged(&rig, &named), [index]);
}

#[tokio::test]
async fn a_question_never_misses_the_tail_that_is_not_indexed() {
    let mut rig = mixed(10, 5).await;
    assert!(rig.log.status().follower_lag < rig.log.as_of());
    rig.commit(read_of("fresh")).await.into_event();
    let page = rig.log.search(&Query { resource: Some(secret("fresh")), ..everything() }).unwrap();
    assert_eq!(page.records.len(), 1);
}

#[tokio::test]
async fn the_bound_on_rows_ends_a_page_that_says_so() {
    let rig = mixed(20, 20).await;
    let query = Query { group: Some("group/x/y".to_owned()), limit: 5, scan_max: 8, ..everything() };
    let page = rig.log.search(&query).unwrap();
    assert!(page.records.is_empty() && !page.complete);
    assert_eq!(page.next_before, Some(rig.log.as_of() - 8));
}

#[tokio::test]
async fn a_full_page_is_complete_and_says_where_the_next_begins() {
    let rig = mixed(20, 20).await;
    let page = rig.log.search(&Query { limit: 5, ..everything() }).unwrap();
    assert!(page.complete);
    assert_eq!(page.next_before, Some(rig.log.as_of() - 5));
    let all = rig.log.search(&everything()).unwrap();
    assert_eq!((all.records.len() as u64, all.next_before, all.complete), (rig.log.as_of(), None, true));
}

#[tokio::test]
async fn a_question_as_of_a_size_does_not_see_what_came_later() {
    let mut rig = mixed(8, 8).await;
    let size = rig.log.search(&everything()).unwrap().size;
    rig.commit(read_of("later")).await.into_event();
    let page = rig.log.search(&Query { size: Some(size), ..everything() }).unwrap();
    assert_eq!(page.size, size);
    assert!(page.records.iter().all(|(index, _)| *index < size));
}

#[tokio::test]
async fn a_hidden_index_row_hides_nothing_from_a_full_scan() {
    let rig = mixed(12, 12).await;
    rig.index();
    let query = Query { resource: Some(secret(NAMES[1])), ..everything() };
    let before = rig.log.search(&query).unwrap().records;
    for (key, _) in crate::log::index::rows(rig.log.shared.id, &Facts::of(&rig.record(before[0].0))) {
        rig.tamper(Key::new(Family::Indexes, key), None);
    }
    assert_eq!(rig.log.search(&query).unwrap().records.len(), before.len() - 1);
    assert_eq!(rig.log.search(&Query { full_scan: true, ..query }).unwrap().records, before);
}

#[tokio::test]
async fn two_principals_on_one_index_entry_are_told_apart_by_their_records() {
    let rig = mixed(6, 6).await;
    rig.index();
    let entry = crate::log::index::Entry::principal("user/dev/nobody");
    let keys = entry.keys(rig.log.shared.id, &(3..4));
    rig.tamper(Key::new(Family::Indexes, keys.start), Some(Vec::new()));
    let page = rig.log.search(&Query { principal: Some("user/dev/nobody".to_owned()), ..everything() }).unwrap();
    assert!(page.records.is_empty());
}

#[tokio::test]
async fn indexes_built_again_are_those_that_were() {
    let rig = mixed(40, 13).await;
    rig.index();
    let rows = |rig: &Rig| {
        let mut rows = Vec::new();
        let keys = crate::log::index::all(rig.log.shared.id);
        rig.log
            .read(|snapshot| {
                rows.clear();
                snapshot.scan(Family::Indexes, &keys.start, &keys.end, false, &mut |key, value| {
                    rows.push((key.to_vec(), value.to_vec()));
                    true
                })
            })
            .unwrap();
        rows
    };
    let before = rows(&rig);
    assert!(before.len() > 100);
    for (key, _) in &before {
        rig.tamper(Key::new(Family::Indexes, key.clone()), None);
    }
    rig.tamper(rig.log.shared.id.follower("indexes"), None);
    rig.index();
    assert_eq!(rows(&rig), before);
}

#[tokio::test]
async fn rows_that_were_made_before_a_reopen_took_those_below_them_are_made_again() {
    let mut rig = Rig::new();
    for _ in 0..20 {
        rig.commit(read_of("a")).await.into_event();
    }
    rig.index();
    rig.commit(read_of("b")).await.into_event();
    let made = rig.follower.plan().unwrap();
    // The store is reopened without what had been in no file of it.
    let id = rig.log.shared.id;
    let keys = crate::log::index::all(id);
    let mut lost = vec![id.follower("indexes")];
    let read = rig.log.read(|rows| {
        rows.scan(Family::Indexes, &keys.start, &keys.end, false, &mut |key, _| {
            lost.push(Key::new(Family::Indexes, key));
            true
        })
    });
    read.unwrap();
    lost.into_iter().for_each(|key| rig.tamper(key, None));
    assert!(rig.follower.write(&made).unwrap());
    rig.index();
    let verify = crate::log::Verify { origin: ORIGIN, mark: None, vkey: None, indexes: Some([7; 32]) };
    assert_eq!(verify.run(&MemoryStore::on(&rig.disk), &mut |_, _| {}).unwrap().findings, []);
}

#[tokio::test]
async fn indexes_of_a_longer_log_are_dropped_in_blocks_and_built_again() {
    use crate::log::followers::ROWS;
    let mut rig = Rig::new();
    for _ in 0..20 {
        rig.commit(denial_of("a")).await.into_event();
    }
    rig.index();
    let id = rig.log.shared.id;
    let before = rig.log.search(&everything()).unwrap();
    let strays = (0..2 * ROWS as u64).map(|number| Write {
        key: Key::new(Family::Indexes, id.numbered(b"d", 100_000 + number)),
        value: Some(Vec::new()),
    });
    let store = MemoryStore::on(&rig.disk);
    let mark = Write { key: id.follower("indexes"), value: Some(1_000_000_u64.to_be_bytes().to_vec()) };
    store::Store::write_derived(&store, &strays.chain([mark]).collect::<Vec<_>>()).unwrap();
    let count = || {
        let keys = crate::log::index::all(id);
        let mut rows_left = 0_usize;
        let read = rig.log.read(|rows| {
            rows.scan(Family::Indexes, &keys.start, &keys.end, false, &mut |_, _| {
                rows_left += 1;
                true
            })
        });
        read.unwrap();
        rows_left
    };
    assert!(rig.follower.step().unwrap());
    let all = count();
    assert!(rig.follower.step().unwrap());
    assert_eq!(count(), all - ROWS, "one block at a time");
    let during = rig.log.search(&everything()).unwrap();
    assert_eq!(during.records, before.records, "what is being dropped does not count");
    rig.index();
    assert_eq!(rig.log.search(&everything()).unwrap().records, before.records);
    let verify = crate::log::Verify { origin: ORIGIN, mark: None, vkey: None, indexes: Some([7; 32]) };
    assert_eq!(verify.run(&store, &mut |_, _| {}).unwrap().findings, []);
}
