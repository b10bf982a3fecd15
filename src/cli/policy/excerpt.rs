//! The line that something is said about, with the offending part marked.

/// Characters of a line that are shown before the mark.
const BEFORE: usize = 60;
/// Characters of a line that are shown at most.
const SHOWN: usize = 140;

/// A part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// 1-based column of its first character.
    pub(super) column: usize,
    /// Characters.
    pub(super) width: usize,
}

impl Mark {
    /// What stands at a place of a JSON text, both 1-based: a string, a word, or an object or list as far as it goes on
    /// its line.
    pub(super) fn at(text: &str, line: u32, column: u32) -> Option<(&str, Self)> {
        let line = text.lines().nth(usize::try_from(line.checked_sub(1)?).ok()?)?;
        let column = usize::try_from(column).ok().filter(|column| *column > 0)?;
        let rest: Vec<char> = line.chars().skip(column.checked_sub(1)?).collect();
        let width = match rest.first()? {
            '"' => string(&rest),
            '{' | '[' => nested(&rest),
            _ => rest.iter().take_while(|c| !matches!(c, ',' | ']' | '}' | ':') && !c.is_whitespace()).count(),
        };
        Some((line, Self { column, width: width.max(1) }))
    }
}

/// The length of the string that a text starts with; up to its end if it is not closed.
fn string(rest: &[char]) -> usize {
    let mut is_escaped = true;
    for (at, c) in rest.iter().enumerate() {
        match c {
            '"' if !is_escaped => return at.saturating_add(1),
            // The first quote opens.
            _ => is_escaped = *c == '\\' && !is_escaped,
        }
    }
    rest.len()
}

/// The length of the object or list that a text starts with; of the whole text if it goes on behind it.
fn nested(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(c) = rest.get(at) {
        match c {
            '"' => at = at.saturating_add(string(rest.get(at..).unwrap_or_default())).saturating_sub(1),
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = at.saturating_add(1);
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The line and the marks under it, each behind the margin, as people know it from compilers. A long line is cut around
/// the mark.
pub(super) fn lines(number: u32, line: &str, mark: Mark) -> [String; 3] {
    let start = mark.column.saturating_sub(1);
    let from = if line.chars().count() > SHOWN { start.saturating_sub(BEFORE) } else { 0 };
    let shown: String = line.chars().skip(from).take(SHOWN).map(plain).collect();
    let width = mark.width.min(SHOWN.saturating_sub(start.saturating_sub(from)));
    let number = number.to_string();
    let margin = " ".repeat(number.len());
    let before = " ".repeat(start.saturating_sub(from));
    [format!(" {margin} |"), format!(" {number} | {shown}"), format!(" {margin} | {before}{}", "^".repeat(width))]
}

/// One column for each character, and none that moves the others or the cursor.
fn plain(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, line: u32, column: u32) -> Vec<String> {
        let (shown, mark) = Mark::at(text, line, column).unwrap();
        lines(line, shown, mark).to_vec()
    }

    #[test]
    fn the_offending_part_is_marked_as_far_as_it_goes() {
        let text = "{\n\t\"é\": [\"a\\\"b\", true], \"c\": {\"d\": \"}\"}, \"e\": {\n}}";
        assert_eq!(marked(text, 2, 8)[2], "   |        ^^^^^^", "a string with an escaped quote");
        assert_eq!(marked(text, 2, 16)[2], "   |                ^^^^", "a word");
        assert_eq!(marked(text, 2, 2)[2], "   |  ^^^", "a key, a tab and an accent before it");
        let whole = marked(text, 2, 28);
        assert_eq!(whole[1], " 2 |  \"é\": [\"a\\\"b\", true], \"c\": {\"d\": \"}\"}, \"e\": {");
        assert_eq!(whole[2].matches('^').count(), "{\"d\": \"}\"}".len(), "brackets inside strings count for nothing");
        assert_eq!(
            marked(text, 2, 45)[2].matches('^').count(),
            1,
            "what goes on below is marked to the end of the line"
        );
    }

    #[test]
    fn a_place_that_is_not_there_has_no_mark() {
        for (line, column) in [(0, 1), (1, 0), (2, 1), (1, 9)] {
            assert_eq!(Mark::at("{}", line, column), None, "{line}:{column}");
        }
    }

    #[test]
    fn attack_g09_a_line_of_a_file_cannot_speak_to_the_terminal_and_a_long_one_is_cut_around_the_mark() {
        let text = format!("\u{1b}[31m{}\"here\"\u{202e}", "x".repeat(1_000));
        let shown = marked(&text, 1, 1_006);
        assert!(shown[1].chars().count() < 200 && shown[1].contains("\"here\"\u{fffd}"), "{shown:?}");
        assert!(!shown.concat().contains(['\u{1b}', '\u{202e}']));
        let at = shown[2].chars().position(|c| c == '^').unwrap();
        assert_eq!(shown[1].chars().skip(at).take(6).collect::<String>(), "\"here\"");
    }
}
