//! Each hazard of casbin 2.20 that this design answers, by its number in docs/DEPENDENCIES.md: either what casbin
//! does is pinned here, so that an upgrade that changes it is seen, or that the thing cannot be reached is.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::super::testing::ask;
use super::*;
use StatementEffect::{Allow, Deny};
use casbin::{Effector, EffectorStream};

fn row(effect: StatementEffect, matches: bool, place: u32) -> Row {
    Row { document: Some("d".into()), place, statement: Arc::new(Statement::probe(effect, matches)) }
}

fn rows(list: &[(StatementEffect, bool)]) -> Vec<Row> {
    list.iter().zip(0..).map(|((effect, matches), place)| row(*effect, *matches, place)).collect()
}

fn facts() -> Rc<Facts> {
    Rc::new(ask("user/dev/a").facts())
}

fn key(number: u32) -> FrameKey {
    FrameKey { layer: Layer::Identity, action: 0, documents: vec![(number, true)], session: String::new() }
}

fn answer(model: &str, list: &[(StatementEffect, bool)]) -> Result<bool, Fault> {
    let engine = Engine::with_model(model)?;
    engine.answer(&key(0), || rows(list), &facts()).map(|answer| answer.allowed)
}

/// casbin as it is, with a matcher of its own and plain text rows.
fn casbin(matcher: &str, policies: &[&[&str]]) -> Enforcer {
    let text = MODEL.replace("p = row, eft", "p = obj, eft").replace("statement_holds(r.call, p.row)", matcher);
    let mut model = ready(DefaultModel::from_str(&text)).unwrap().unwrap();
    for policy in policies {
        model.add_policy("p", "p", policy.iter().map(|field| (*field).to_owned()).collect());
    }
    ready(Enforcer::new_raw(model, NullAdapter)).unwrap().unwrap()
}

fn panics(run: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

#[test]
fn the_probe_passes_on_the_shipped_model_and_fails_on_others() {
    assert!(Engine::new().is_ok());
    for broken in [
        MODEL.replace(" && !some(where (p.eft == deny))", ""),
        MODEL.replace("some(where (p.eft == allow)) && !some(where (p.eft == deny))", "!some(where (p.eft == deny))"),
        MODEL.replace("some(where (p.eft == allow)) && !some(where (p.eft == deny))", "priority(p.eft) || deny"),
        MODEL.replace("statement_holds(r.call, p.row)", "true"),
        MODEL.replace("statement_holds(r.call, p.row)", "1 == 1 || statement_holds(r.call, p.row)"),
        MODEL.replace("statement_holds", "statement_hold"),
        MODEL.replace("p = row, eft", "p = row"),
        MODEL.replace("r = call", "r = call, more"),
        MODEL.replace("m = ", "n = "),
        String::new(),
    ] {
        let probed = Engine::with_model(&broken).and_then(|engine| engine.probe());
        assert!(probed.is_err(), "{broken}");
    }
}

#[test]
fn how_allow_and_deny_combine_is_casbins_answer_and_nothing_else() {
    let lists = [(Allow, true), (Deny, true)];
    assert_eq!(answer(MODEL, &lists), Ok(false));
    let allow_overrides = MODEL.replace(" && !some(where (p.eft == deny))", "");
    assert_eq!(answer(&allow_overrides, &lists), Ok(true), "the same rows under another model are decided otherwise");
    let first_decides =
        MODEL.replace("some(where (p.eft == allow)) && !some(where (p.eft == deny))", "priority(p.eft) || deny");
    assert_eq!(answer(&first_decides, &lists), Ok(true));
    assert_eq!(answer(&first_decides, &[(Deny, true), (Allow, true)]), Ok(false));
}

#[test]
fn an_allow_that_rests_on_no_statement_is_a_fault() {
    let unless_denied =
        MODEL.replace("some(where (p.eft == allow)) && !some(where (p.eft == deny))", "!some(where (p.eft == deny))");
    assert_eq!(answer(&unless_denied, &[(Allow, false)]), Err(Fault::Frame));
    let anything = MODEL.replace("statement_holds(r.call, p.row)", "1 == 1");
    assert_eq!(answer(&anything, &[(Allow, false)]), Err(Fault::Frame));
}

#[test]
fn the_first_matching_statement_of_each_effect_is_named() {
    let engine = Engine::new().unwrap();
    let list = [(Allow, false), (Allow, true), (Allow, true), (Deny, false), (Deny, true), (Deny, true)];
    let answer = engine.answer(&key(0), || rows(&list), &facts()).unwrap();
    assert!(!answer.allowed);
    assert_eq!(answer.allow.unwrap().place, 1);
    assert_eq!(answer.deny.unwrap().place, 4);
}

#[test]
fn what_a_frame_keeps_is_what_casbin_answers_and_is_bounded() {
    let engine = Engine::new().unwrap();
    for count in [0, 1, 3, 63, 64, 65, 200] {
        let frame = engine.build(rows(&vec![(Allow, true); count])).unwrap();
        for _ in 0..3 {
            assert_eq!(frame.ask(&facts()).unwrap().allowed, count > 0);
        }
        assert_eq!(frame.known.read().unwrap().len(), usize::from(count <= 64), "{count}");
    }
    let list = [(Deny, false), (Allow, true), (Allow, true), (Deny, false)];
    let frame = engine.build(rows(&list)).unwrap();
    assert_eq!(frame.holding(&facts()), Some(Holding(0b0110)));
    let first = frame.ask_casbin(&facts()).unwrap();
    frame.ask(&facts()).unwrap();
    let kept = frame.known_answer(Holding(0b0110)).unwrap();
    assert_eq!((kept.allowed, kept.allow.unwrap().place), (first.allowed, first.allow.unwrap().place));
    assert!(frame.known_answer(Holding(0b0111)).is_none(), "another pattern is another question");
    let full = engine.build(rows(&list)).unwrap();
    let other = Answer { allowed: true, allow: None, deny: None };
    full.known.write().unwrap().resize(ANSWERS_MAX, (Holding(u64::MAX), other));
    assert!(full.ask(&facts()).unwrap().allowed);
    assert_eq!(full.known.read().unwrap().len(), ANSWERS_MAX, "what does not fit is asked each time");
}

#[test]
fn a_frame_is_built_once_for_a_key() {
    let engine = Engine::new().unwrap();
    let builds = Cell::new(0);
    for number in [1, 2, 1, 1, 2] {
        let rows = || {
            builds.set(builds.get() + 1);
            rows(&[(Allow, true)])
        };
        assert!(engine.answer(&key(number), rows, &facts()).unwrap().allowed);
    }
    assert_eq!(builds.get(), 2);
}

#[test]
fn the_cache_of_frames_is_bounded() {
    let engine = Engine::new().unwrap();
    let many: Vec<(StatementEffect, bool)> = vec![(Allow, false); 2_000];
    for number in 0..100 {
        engine.answer(&key(number), || rows(&many), &facts()).unwrap();
    }
    engine.frames.run_pending_tasks();
    assert!(engine.frames.weighted_size() <= CACHE_BYTES_MAX);
    assert!(engine.frames.entry_count() < 100);
}

#[test]
fn hazard_01_an_effect_that_is_neither_allow_nor_deny_forbids_nothing() {
    let enforcer = casbin("1 == 1", &[&["a", "allow"], &["b", "Deny"], &["c", " deny"]]);
    assert!(enforcer.enforce(("x",)).unwrap());
    assert_eq!([Allow.name(), Deny.name()], ["allow", "deny"]);
}

#[test]
fn hazards_02_03_04_the_built_in_matchers_are_wrong_and_the_model_uses_none() {
    assert!(panics(|| casbin("keyMatch(r.call, p.obj)", &[&["secret/*", "allow"]]).enforce(("secretéx",)).is_ok()));
    assert!(
        casbin("keyMatch(r.call, p.obj)", &[&["secret/*/readonly", "allow"]]).enforce(("secret/prod/db",)).unwrap()
    );
    assert!(panics(|| casbin("regexMatch(r.call, p.obj)", &[&["(", "allow"]]).enforce(("x",)).is_ok()));
    assert!(casbin("regexMatch(r.call, p.obj)", &[&["b", "allow"]]).enforce(("abc",)).unwrap());
    let matcher = MODEL.lines().find(|line| line.starts_with("m = ")).unwrap();
    assert_eq!(matcher, "m = statement_holds(r.call, p.row)");
}

#[test]
fn hazard_06_without_rows_the_matcher_runs_on_blanks_and_a_blank_holds_nothing() {
    assert!(casbin("1 == 1", &[]).enforce(("x",)).unwrap(), "casbin allows with no policy at all");
    assert_eq!(answer(MODEL, &[]), Ok(false));
}

#[test]
fn hazard_07_a_row_of_wrong_arity_fails_the_call_and_none_is_made() {
    assert!(casbin("r.call == p.obj", &[&["a"]]).enforce(("x",)).is_err());
    let engine = Engine::new().unwrap();
    let frame = engine.build(rows(&[(Allow, true), (Deny, true)])).unwrap();
    let stored = frame.enforcer.get_model().get_policy("p", "p");
    assert_eq!(stored, [["0", "allow"], ["1", "deny"]]);
}

#[test]
fn hazard_08_nothing_goes_through_a_csv_loader() {
    let engine = Engine::new().unwrap();
    let odd: Arc<str> = "a,b\n\"c\"\u{feff}#".into();
    let rows = vec![Row { document: Some(odd.clone()), place: 0, statement: Arc::new(Statement::probe(Allow, true)) }];
    let answer = engine.answer(&key(0), || rows, &facts()).unwrap();
    assert_eq!(answer.allow.unwrap().document, Some(odd));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "shows what the lint forbids")]
fn hazard_09_enforcement_that_is_off_allows_everything_and_is_on_here() {
    let mut enforcer = casbin("1 == 2", &[]);
    enforcer.enable_enforce(false);
    assert!(enforcer.enforce(("x",)).unwrap());
    assert!(Engine::new().unwrap().build(Vec::new()).unwrap().enforcer.is_enabled());
}

#[test]
fn hazard_10_matcher_text_is_rewritten_and_rows_hold_no_text_of_a_user() {
    assert!(casbin("r.call == \"r.x\"", &[&["a", "allow"]]).enforce(("r_x",)).unwrap());
    let engine = Engine::new().unwrap();
    let frame = engine.build(rows(&[(Allow, true); 12])).unwrap();
    let plain = |field: &String| field.bytes().all(|b| b.is_ascii_digit()) || field == "allow" || field == "deny";
    assert!(frame.enforcer.get_model().get_policy("p", "p").iter().flatten().all(plain));
}

#[test]
fn hazard_11_attack_d07_an_unknown_effect_expression_panics_and_the_panic_is_a_denial() {
    let unknown =
        MODEL.replace("some(where (p.eft == allow)) && !some(where (p.eft == deny))", "any(where (p.eft == allow))");
    assert_eq!(answer(&unknown, &[(Allow, true)]), Err(Fault::Panic));
    assert_eq!(answer(MODEL, &[(Allow, true)]), Ok(true), "the thread goes on deciding");
}

#[test]
fn hazard_12_the_model_has_no_roles() {
    let engine = Engine::new().unwrap();
    assert!(!engine.model.get_model().contains_key("g"));
}

#[test]
fn hazard_13_14_15_what_is_not_used_stays_out_of_the_program() {
    let source = include_str!("engine.rs");
    let production = source.split("#[cfg(test)]").next().unwrap();
    for banned in [
        "load_policy",
        "save_policy",
        "enable_enforce",
        "enforce_mut",
        "enforce_ex",
        "CachedEnforcer",
        "FileAdapter",
        "set_effector",
    ] {
        assert!(!production.contains(banned), "{banned}");
    }
    assert!(!MODEL.contains("eval("));
    assert_eq!(casbin("1 == 1", &[]).enforce((i64::MAX,)).map_err(|_| ()), Err(()), "integers have 32 bits");
}

#[test]
fn hazard_16_casbin_walks_every_row_of_a_layer() {
    let engine = Engine::new().unwrap();
    let frame = engine.build(rows(&[(Allow, true); 500])).unwrap();
    let call = Call::enter(frame.rows.clone(), facts());
    assert!(frame.enforcer.enforce((call.serial,)).unwrap());
    assert_eq!(call.leave().unwrap().matched.len(), 500);
}

#[test]
fn a_call_outside_its_time_or_with_anothers_serial_is_a_fault() {
    let frame = Engine::new().unwrap().build(rows(&[(Allow, true)])).unwrap();
    assert!(frame.enforcer.enforce((1_i32,)).is_err());
    let call = Call::enter(frame.rows.clone(), facts());
    assert!(frame.enforcer.enforce((call.serial.wrapping_add(1),)).is_err());
    assert!(frame.enforcer.enforce((call.serial,)).unwrap());
    drop(call);
    assert!(CURRENT.with(|slot| slot.borrow().is_none()));
}

#[test]
fn attack_d07_a_row_that_cannot_be_decided_fails_the_whole_call() {
    let engine = Engine::new().unwrap();
    let frame = engine.build(rows(&[(Allow, true), (Allow, true)])).unwrap();
    let rows = frame.rows.iter().take(1).cloned().collect();
    let short = Frame { enforcer: frame.enforcer, rows, known: RwLock::default() };
    assert_eq!(short.ask(&facts()).map(|answer| answer.allowed), Err(Fault::Frame));
}

#[test]
fn casbin_is_imported_in_one_file() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source];
    let mut importing: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
                if code.into_iter().any(|line| line.contains("casbin::")) {
                    importing.push(path.file_name().unwrap().into());
                }
            }
        }
    }
    importing.sort();
    assert_eq!(importing, [Path::new("engine.rs"), Path::new("engine_tests.rs")]);
}

/// An effector that says the opposite of the shipped one.
struct Contrary;

struct ContraryStream(Box<dyn EffectorStream>);

impl Effector for Contrary {
    fn new_stream(&self, expression: &str, capacity: usize) -> Box<dyn EffectorStream> {
        Box::new(ContraryStream(casbin::DefaultEffector.new_stream(expression, capacity)))
    }
}

impl EffectorStream for ContraryStream {
    fn next(&self) -> bool {
        !self.0.next()
    }

    fn push_effect(&mut self, effect: casbin::EffectKind) -> bool {
        self.0.push_effect(effect)
    }
}

#[test]
fn an_answer_of_casbins_that_is_turned_round_turns_the_decision_round() {
    let mut frame = Engine::new().unwrap().build(rows(&[(Allow, true), (Deny, true)])).unwrap();
    assert!(!frame.ask(&facts()).unwrap().allowed);
    frame.enforcer.set_effector(Box::new(Contrary));
    frame.known = RwLock::default();
    assert!(frame.ask(&facts()).unwrap().allowed);
}
