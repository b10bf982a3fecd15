//! Help texts as a terminal shows them. In the source their lines end where there is room; whoever reads them may have less, or more.

use clap::Command;

/// The command with its notes unwrapped, and those of every verb below it: clap wraps them to the terminal.
pub(super) fn flowing(command: Command) -> Command {
    let command = match command.get_after_help().map(|text| unwrapped(&text.to_string())) {
        Some(text) => command.after_help(text),
        None => command,
    };
    command.mut_subcommands(flowing)
}

/// Paragraphs in one line each; those with indented lines, such as examples, stay as they are.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let is_listing = paragraph.lines().any(|line| line.starts_with("  "));
        if is_listing { paragraph.to_owned() } else { paragraph.replace('\n', " ") }
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_unwrapped_and_examples_are_not() {
        let text = "Examples:\n  keyward a\n  keyward b\n\nIt does\nthis.\n\nAnd that.";
        assert_eq!(unwrapped(text), "Examples:\n  keyward a\n  keyward b\n\nIt does this.\n\nAnd that.");
        let inner = Command::new("inner").after_help("one\ntwo");
        let all = flowing(Command::new("outer").subcommand(Command::new("middle").subcommand(inner)));
        let inner = all.find_subcommand("middle").and_then(|middle| middle.find_subcommand("inner")).unwrap();
        assert_eq!(inner.get_after_help().map(ToString::to_string).as_deref(), Some("one two"));
    }
}
