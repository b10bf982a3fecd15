//! Completions for shells, and man pages: both from the same definition of the verbs that `--help` shows.

use super::output::Output;
use super::{Cli, Failure, stdout};
use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::aot::{Bash, Fish, Zsh, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::path::{Path, PathBuf};

/// What the program is called.
const NAME: &str = "keyward";

/// Print the completions of a shell
#[derive(Args)]
#[command(after_help = "Examples:
  keyward completions bash >/usr/share/bash-completion/completions/keyward
  keyward completions zsh >/usr/share/zsh/vendor-completions/_keyward
  keyward completions fish >~/.config/fish/completions/keyward.fish
  source <(keyward completions bash)      # for this shell alone")]
pub(super) struct Completions {
    /// Whose
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Shells that there are completions for.
#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Write the man pages, one for each verb
#[derive(Args)]
#[command(after_help = "Examples:
  keyward man --dir /usr/local/share/man/man1
  keyward man --dir pages && man -l pages/keyward-secret-edit.1")]
pub(super) struct Pages {
    /// The directory to write them to; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl Completions {
    pub(super) fn run(&self) -> Result<(), Failure> {
        stdout::bytes(&script(self.shell));
        Ok(())
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    match shell {
        Shell::Bash => generate(Bash, &mut command, NAME, &mut script),
        Shell::Zsh => generate(Zsh, &mut command, NAME, &mut script),
        Shell::Fish => generate(Fish, &mut command, NAME, &mut script),
    }
    script
}

impl Pages {
    pub(super) fn run(&self, out: &Output) -> Result<(), Failure> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot make `{}`", self.dir.display()))?;
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let written = write_pages(&command, NAME, &self.dir)?;
        out.say(&format!("wrote {written} pages to {}", self.dir.display()));
        Ok(())
    }
}

/// Writes the page of a verb and those of the verbs below it; answers how many.
fn write_pages(command: &Command, name: &str, dir: &Path) -> anyhow::Result<usize> {
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut written = 1;
    for verb in command.get_subcommands() {
        written += write_pages(verb, &format!("{name}-{}", verb.get_name()), dir)?;
    }
    Ok(written)
}

/// One page: clap's sections, then those of the text behind the help.
fn page(command: &Command, name: &str) -> std::io::Result<Vec<u8>> {
    let source = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name).source(source).manual("keyward manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut roff = Roff::new();
    for (heading, block) in sections(&text) {
        roff.control("SH", [heading.to_uppercase().as_str()]);
        write_block(&mut roff, block);
    }
    if name != NAME {
        roff.control("SH", ["SEE ALSO"]).text([roman("keyward(1)")]);
    }
    roff.to_writer(&mut page)?;
    Ok(once(&page))
}

/// Each section comes with the same definitions before it: one of them is enough.
fn once(page: &[u8]) -> Vec<u8> {
    let mut seen = 0_usize;
    let is_kept = |line: &&[u8]| {
        let is_definition = line.starts_with(b".ie \\n(.g") || line.starts_with(b".el .ds Aq");
        seen += usize::from(is_definition);
        !is_definition || seen <= 2
    };
    page.split_inclusive(|byte| *byte == b'\n').filter(is_kept).flatten().copied().collect()
}

/// Headings and what stands under them: `Examples:` with indented lines, and what is neither as notes.
fn sections(text: &str) -> Vec<(&str, &str)> {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let mut sections = Vec::new();
    for block in blocks {
        match block.split_once(":\n") {
            Some((heading, lines)) if lines.starts_with("  ") => sections.push((heading, lines)),
            _ => sections.push(("Notes", block)),
        }
    }
    sections
}

/// Indented lines stand as they are, text flows.
fn write_block(roff: &mut Roff, block: &str) {
    if block.starts_with("  ") {
        roff.control("nf", []);
        block.lines().for_each(|line| {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        });
        roff.control("fi", []);
    } else {
        roff.text([roman(block.replace('\n', " "))]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_behind_the_help_becomes_sections() {
        let text = "Examples:\n  keyward a\n  keyward b\n\nIt does\nthis.\n";
        assert_eq!(sections(text), [("Examples", "  keyward a\n  keyward b"), ("Notes", "It does\nthis.\n")]);
    }

    #[test]
    fn each_shell_completes_every_verb_and_flag_of_deleting() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            let command = Cli::command();
            for verb in command.get_subcommands().flat_map(|verb| verb.get_subcommands().chain([verb])) {
                assert!(script.contains(verb.get_name()), "`{}` is not in\n{script}", verb.get_name());
            }
            for flag in ["window", "now", "yes"] {
                assert!(script.contains(flag), "`{flag}` is not in\n{script}");
            }
        }
    }

    #[test]
    fn a_page_has_the_examples_line_by_line() {
        let mut command = Cli::command();
        command.build();
        let edit = command.find_subcommand("secret").and_then(|secret| secret.find_subcommand("edit")).unwrap();
        let page = String::from_utf8(page(edit, "keyward-secret-edit").unwrap()).unwrap();
        for part in [
            ".TH keyward-secret-edit 1",
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SH EXAMPLES\n.nf\n",
            ".SH NOTES",
            ".SH \"SEE ALSO\"",
        ] {
            assert!(page.contains(part), "`{part}` is not in\n{page}");
        }
        assert!(page.contains("\nkeyward secret edit demo/db\n"), "{page}");
        assert_eq!(page.matches(".el .ds").count(), 1, "{page}");
    }
}
