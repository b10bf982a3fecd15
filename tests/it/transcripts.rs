//! Sessions at a shell, as `tests/cli/*.transcript` tell them: each command must say what stands under it and end as it says.
//!
//! A line with `$ ` is a command, run by one `bash` in an empty directory with the programs on its path; lines under it are
//! what it prints, standard error included. `? N` is its exit code, 0 if there is none. In what is printed, `[..]` stands for
//! anything, `[time]`, `[id]`, `[hash]`, `[n]` for something of that form; a line `...` for any lines. Runs of spaces count
//! as one. `#` begins a remark. `% port` makes the installation in `try` listen on a free port, `% serving` waits until it
//! does and tells the client verbs where; both stand for what a machine with nothing on port 8743 does not need.

use crate::gateway::wait_for;
use crate::installation::PROGRAM;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// One step of a transcript.
enum Step {
    Command { line: usize, text: String, expected: Vec<String>, code: i32 },
    Port,
    Serving,
}

/// A shell with a directory of its own. Everything that it started ends with it.
struct Shell {
    bash: Child,
    dir: TempDir,
    steps: usize,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli")
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        match (line.get(..2), steps.last_mut()) {
            (Some("$ "), _) => {
                let text = line[2..].to_owned();
                steps.push(Step::Command { line: number + 1, text, expected: Vec::new(), code: 0 });
            }
            (Some("% "), _) => steps.push(match &line[2..] {
                "port" => Step::Port,
                "serving" => Step::Serving,
                other => panic!("line {}: `{other}`", number + 1),
            }),
            (Some("> "), Some(Step::Command { text, .. })) => write!(text, "\n{}", &line[2..]).unwrap(),
            (Some("? "), Some(Step::Command { code, .. })) => *code = line[2..].parse().unwrap(),
            (_, Some(Step::Command { expected, .. })) => expected.push(line.to_owned()),
            (_, _) => assert!(line.is_empty(), "line {}: nothing was asked yet", number + 1),
        }
    }
    steps
}

impl Shell {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let programs = Path::new(PROGRAM).parent().unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["--norc", "--noprofile"]).current_dir(&dir).env_clear().process_group(0);
        command.env("PATH", path).env("HOME", dir.path()).env("LC_ALL", "C.UTF-8").env("TERM", "dumb");
        let bash = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { bash, dir, steps: 0 }
    }

    /// Runs a command line; answers what it printed and its exit code.
    fn run(&mut self, text: &str) -> (String, i32) {
        self.steps += 1;
        let path = |kind: &str| self.dir.path().join(format!(".{kind}-{}", self.steps));
        let (out, code) = (path("out"), path("code"));
        let whole = format!(
            "{{ {text}\n}} </dev/null >{out} 2>&1\necho $? >{code}.new; mv {code}.new {code}\n",
            out = out.display(),
            code = code.display()
        );
        self.bash.stdin.as_mut().unwrap().write_all(whole.as_bytes()).unwrap();
        let code = wait_for(text, || fs::read_to_string(&code).ok()).trim().parse().unwrap();
        (String::from_utf8(fs::read(out).unwrap()).unwrap(), code)
    }

    /// Where the gateway that was started last listens.
    fn serving(&mut self) {
        let log = self.dir.path().join(format!(".out-{}", self.steps));
        let address = wait_for("a gateway that serves", || {
            let text = fs::read_to_string(&log).unwrap();
            let line = text.lines().find(|line| line.contains("\"message\":\"serving\""))?.to_owned();
            Some(line.split("\"listen\":\"").nth(1)?.split('"').next()?.to_owned())
        });
        wait_for("a gateway that is ready", || {
            let (answer, _) = self.run(&format!("curl -sS -o /dev/null -w '%{{http_code}}' http://{address}/readyz"));
            (answer == "200").then_some(())
        });
        self.run(&format!("export KEYWARD_ADDR=http://{address}"));
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Whatever a transcript left running is of its process group.
        let group = format!("-{}", self.bash.id());
        let _gone = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _gone = self.bash.wait();
    }
}

/// What a placeholder stands for.
fn form(name: &str) -> Option<fn(char) -> bool> {
    match name {
        ".." => Some(|_| true),
        "time" => Some(|c| c.is_ascii_digit() || "-:TZ ".contains(c)),
        "id" => Some(|c| c.is_ascii_hexdigit() || c == '-'),
        "hash" => Some(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(c)),
        "n" => Some(|c| c.is_ascii_digit()),
        _ => None,
    }
}

/// Whether a printed line is as it was expected.
fn is_like(expected: &str, printed: &str) -> bool {
    let found = expected.char_indices().filter(|(_, c)| *c == '[').find_map(|(at, _)| {
        let (name, rest) = expected[at + 1..].split_once(']')?;
        Some((&expected[..at], form(name)?, name == "..", rest))
    });
    let Some((before, fits, may_be_empty, rest)) = found else { return expected == printed };
    let Some(printed) = printed.strip_prefix(before) else { return false };
    let longest = printed.find(|c| !fits(c)).unwrap_or(printed.len());
    let shortest = usize::from(!may_be_empty);
    (shortest..=longest).rev().any(|end| printed.is_char_boundary(end) && is_like(rest, &printed[end..]))
}

/// Whether all lines are; `...` passes over any.
fn are_like(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "..." => (0..=printed.len()).any(|at| are_like(rest, &printed[at..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, more)| is_like(line, first) && are_like(rest, more))
        }
    }
}

/// Lines without what nobody sees: runs of spaces, spaces and empty lines at the end.
fn lines(text: &str) -> Vec<String> {
    let squeezed = text
        .trim_end()
        .lines()
        .map(|line| line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
    squeezed.collect()
}

fn play(name: &str) {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let mut shell = Shell::new();
    for step in parse(&text) {
        match step {
            Step::Port => {
                let (said, code) = shell.run("sed -i 's/^listen = .*/listen = \"127.0.0.1:0\"/' try/keyward.toml");
                assert_eq!(code, 0, "{said}");
            }
            Step::Serving => shell.serving(),
            Step::Command { line, text, expected, code } => {
                let (printed, ended) = shell.run(&text);
                let expected = lines(&expected.join("\n"));
                // A gateway in the background says what it says when it likes.
                let is_fine = text.ends_with('&') || are_like(&expected, &lines(&printed));
                assert!(is_fine && ended == code, "{name}, line {line}\n$ {text}\n{printed}? {ended}\n");
            }
        }
    }
}

#[test]
fn the_quick_start_of_the_readme_does_what_it_says() {
    play("quick-start.transcript");
}

#[test]
fn a_secrets_life_at_the_shell() {
    play("life.transcript");
}

#[test]
fn what_goes_wrong_at_the_shell_is_told_with_what_to_do() {
    play("errors.transcript");
}

#[test]
fn an_auditors_session() {
    play("audit.transcript");
}

#[test]
fn policies_are_written_checked_and_tested() {
    play("policies.transcript");
}

#[test]
fn an_edit_is_compared_replayed_and_explained() {
    play("edits.transcript");
}

#[test]
fn the_least_that_is_needed_is_suggested_and_tried() {
    play("suggest.transcript");
}

#[test]
fn a_policy_set_that_went_wrong_is_taken_back() {
    play("history.transcript");
}

#[test]
fn every_transcript_is_played() {
    let source = include_str!("transcripts.rs");
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(source.contains(&format!("play(\"{name}\")")), "{name} is played by no test");
    }
}

#[test]
fn a_transcript_that_is_not_so_is_found_out() {
    assert!(is_like("at [time], [n] records", "at 2026-11-22 02:10:00Z, 15 records"));
    assert!(!is_like("at [time], [n] records", "at 2026-11-22 02:10:00Z, no records"));
    assert!(is_like("[..]", "") && !is_like("[n]", "") && !is_like("[other]", "x"));
    let text = |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| (*line).to_owned()).collect() };
    assert!(are_like(&text(&["a", "...", "d"]), &text(&["a", "b", "c", "d"])));
    assert!(!are_like(&text(&["a", "...", "d"]), &text(&["a", "b", "c"])));
    assert!(!are_like(&text(&["a"]), &text(&["a", "b"])));
    let mut shell = Shell::new();
    assert_eq!(shell.run("echo x; exit_code() { return 3; }; exit_code"), ("x\n".to_owned(), 3));
    assert_eq!(shell.run("A=kept").1 + shell.run("test \"$A\" = kept").1, 0);
}
