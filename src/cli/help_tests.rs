//! The help is part of the program: every verb has an example, every example is a command that is understood, and the same
//! flag means the same everywhere.

use super::Cli;
use clap::{Command, CommandFactory as _, Parser as _};
use std::collections::BTreeMap;

/// What a value is called. A new name is a decision, not an accident.
const VALUE_NAMES: [&str; 40] = [
    "ACTION",
    "CHARACTERS",
    "COMMAND",
    "DAYS",
    "DECISION",
    "DIR",
    "DURATION",
    "FILE",
    "FORMAT",
    "GROUP",
    "HEX",
    "ID",
    "INDEX",
    "ISS",
    "ISSUER",
    "JTI",
    "KEY",
    "KEY=VALUE",
    "KEY[=VALUE]",
    "NAME",
    "NAME=ENV",
    "NAME[:VERSION]",
    "NEW",
    "NUMBER",
    "OLD",
    "OUTCOME",
    "PATH",
    "PREFIX",
    "PRINCIPAL",
    "RECORDS",
    "REVISION",
    "ROLE",
    "SHELL",
    "STATE",
    "SUB",
    "TEXT",
    "TIME",
    "TYPE",
    "URL",
    "VERSION",
];

/// Every verb that does something, with the words that lead to it.
fn verbs() -> Vec<(String, Command)> {
    fn collect(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        let parts: Vec<&Command> = command.get_subcommands().filter(|part| part.get_name() != "help").collect();
        if parts.is_empty() {
            found.push((path.to_owned(), command.clone()));
        }
        parts.iter().for_each(|part| collect(part, &format!("{path} {}", part.get_name()), found));
    }
    let mut found = Vec::new();
    collect(&Cli::command(), "keyward", &mut found);
    assert!(found.len() > 30, "only {} verbs", found.len());
    found
}

/// The lines of a help text that are commands: indented, without what stands behind `#`.
fn examples(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    lines.map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect()
}

/// The words of each command in a line of a shell, as far as the examples go: quotes, `|`, `&&`, `&`, `$(...)`.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let (mut word, mut quote, mut is_word) = (String::new(), None, false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\\', Some('"')) => word.extend(characters.next()),
            (c, Some(_)) => word.push(c),
            ('\'' | '"', None) => (quote, is_word) = (Some(character), true),
            (' ' | '|' | '&' | ';' | '(' | ')' | '<' | '>', None) => {
                // `2>` is no word.
                if character == '>' && word.bytes().all(|byte| byte.is_ascii_digit()) {
                    word.clear();
                }
                if is_word || !word.is_empty() {
                    commands.last_mut().unwrap().push(std::mem::take(&mut word));
                }
                is_word = false;
                match character {
                    ' ' => {}
                    // What follows is a file.
                    '<' | '>' => while characters.next_if(|c| !matches!(c, ' ' | ')')).is_some() {},
                    _ => commands.push(Vec::new()),
                }
            }
            (c, None) => word.push(c),
        }
    }
    if is_word || !word.is_empty() {
        commands.last_mut().unwrap().push(word);
    }
    commands
}

/// Commands of keyward in a line, without variables that are set for them.
fn of_keyward(line: &str) -> Vec<Vec<String>> {
    let all = commands(line).into_iter();
    let bare =
        all.map(|words| words.into_iter().skip_while(|word| word.contains('=') && !word.starts_with('-')).collect());
    bare.filter(|words: &Vec<String>| words.first().is_some_and(|word| word == "keyward")).collect()
}

#[test]
fn every_verb_teaches_by_an_example_of_itself_that_is_understood() {
    for (path, command) in verbs() {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(text.starts_with("Examples:\n"), "`{path}` has no examples");
        let mut own = 0_usize;
        for line in examples(&text) {
            for words in of_keyward(&line) {
                let parsed = Cli::try_parse_from(&words);
                assert!(parsed.is_ok(), "`{path}`: `{line}`: {}", parsed.err().unwrap());
                let spoken: Vec<&str> =
                    words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
                let verb: Vec<&str> = path.split(' ').skip(1).collect();
                own += usize::from(spoken.windows(verb.len()).any(|part| part == verb));
            }
        }
        assert!(own > 0, "`{path}` has no example of itself");
    }
    let first = Cli::command().get_after_help().map(ToString::to_string).unwrap();
    let steps: Vec<String> =
        examples(&first).iter().flat_map(|line| of_keyward(line)).map(|words| words.join(" ")).collect();
    assert_eq!(steps.len(), 6, "{steps:?}");
}

#[test]
fn the_examples_are_read_as_a_shell_reads_them() {
    let read = |line: &str| of_keyward(line).into_iter().map(|words| words.join("|")).collect::<Vec<_>>();
    assert_eq!(read("printf x | keyward secret create a"), ["keyward|secret|create|a"]);
    assert_eq!(read("A='b c' keyward x 'd e' >f 2>&1 && keyward y 2>g &"), ["keyward|x|d e", "keyward|y"]);
    assert_eq!(read("export T=$(keyward token issue)"), ["keyward|token|issue"]);
    assert!(Cli::try_parse_from(["keyward", "secret", "got", "x"]).is_err());
}

#[test]
fn every_verb_and_argument_is_explained_and_the_same_flag_takes_the_same_value() {
    let mut flags: BTreeMap<String, String> = BTreeMap::new();
    for (path, command) in verbs() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty() && !about.ends_with('.'), "`{path}`: `{about}`");
        for argument in command.get_arguments() {
            let name = argument.get_id();
            assert!(argument.get_help().is_some(), "`{path}`: `{name}` is not explained");
            let values = argument.get_value_names().unwrap_or_default();
            if !argument.get_action().takes_values() {
                continue;
            }
            for value in values {
                assert!(VALUE_NAMES.contains(&value.as_str()), "`{path}`: `{name}` takes `{value}`");
            }
            if let Some(long) = argument.get_long() {
                let values = values.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(" ");
                let before = flags.entry(long.to_owned()).or_insert_with(|| values.clone());
                // A value comes from a file, an import from a kind of service.
                let is_known = (long == "tag" && before.starts_with("KEY")) || long == "issuer" || long == "from";
                assert!(*before == values || is_known, "`--{long}` takes `{before}` and, in `{path}`, `{values}`");
            }
        }
    }
}

#[test]
fn the_command_line_is_one_that_clap_finds_no_fault_with() {
    Cli::command().debug_assert();
}
