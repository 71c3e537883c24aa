//! What the figures were before, and what they ought to be.

use crate::probe::Label;

/// The text of this program.
const TEXT: &str = include_str!("targets.txt");

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Before,
    Aim,
}

/// A line of the text.
#[derive(Debug, Clone, PartialEq)]
struct Target {
    label: String,
    table: String,
    subject: String,
    what: What,
    /// The rival; `None`: the best peer.
    over: Option<String>,
    /// A column, or all of them, and the value; `None` takes one back.
    values: Vec<(String, Option<f64>)>,
}

/// A line that is not written as the text says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not `label; table; subject; before or aim; column = value, ...`")]
pub(crate) struct NoTarget {
    line: usize,
}

/// All earlier figures and aims.
#[derive(Debug)]
pub(crate) struct Targets(Vec<Target>);

impl Targets {
    /// Those of this program.
    ///
    /// # Errors
    /// When its text is wrong. A test checks it.
    pub(crate) fn known() -> Result<Self, NoTarget> {
        Self::parse(TEXT)
    }

    fn parse(text: &str) -> Result<Self, NoTarget> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|(index, line)| parse_line(line).ok_or(NoTarget { line: index + 1 }))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A figure over the best peer, or `over` another subject.
    pub(super) fn of(
        &self,
        what: What,
        label: Label,
        (table, column, subject): (&str, &str, &str),
        over: Option<&str>,
    ) -> Option<f64> {
        let label = label.to_string();
        let lines = self.0.iter().filter(|line| line.what == what && line.over.as_deref() == over);
        let lines = lines.filter(|line| {
            matches(&line.label, &label) && matches(&line.table, table) && matches(&line.subject, subject)
        });
        let mut values = lines.flat_map(|line| &line.values).filter(|(of, _)| matches(of, column));
        values.next_back().and_then(|(_, value)| *value)
    }

    /// The other subjects that one is compared with.
    pub(super) fn overs(&self, table: &str, subject: &str) -> impl Iterator<Item = &str> {
        let mut overs: Vec<_> = self
            .0
            .iter()
            .filter(|line| matches(&line.table, table) && matches(&line.subject, subject))
            .filter_map(|line| line.over.as_deref())
            .collect();
        overs.sort_unstable();
        overs.dedup();
        overs.into_iter()
    }
}

fn parse_line(line: &str) -> Option<Target> {
    let mut parts = line.splitn(5, ';').map(str::trim);
    let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
    let (label, table, subject, what, values) = (next()?, next()?, next()?, next()?, next()?);
    let (what, over) = match what.split_once(" over ") {
        Some((what, over)) => (what, Some(over.to_owned())),
        None => (what.as_str(), None),
    };
    let what = match what {
        "before" => What::Before,
        "aim" => What::Aim,
        _ => return None,
    };
    let values = values.split(',').map(|value| {
        let (column, value) = value.split_once('=')?;
        let value = match value.trim() {
            "-" => None,
            value => Some(value.parse().ok()?),
        };
        Some((column.trim().to_owned(), value))
    });
    Some(Target { label, table, subject, what, over, values: values.collect::<Option<_>>()? })
}

/// Whether a pattern matches a name: one of several alternatives, each of which may have one `*` for anything.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.split('|').map(str::trim).any(|pattern| match pattern.split_once('*') {
        Some((begin, end)) => name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end),
        None => pattern == name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_applies_counts_and_may_take_one_back() {
        let text = "# a remark\n\n*; *; *; aim; * = 1\nfar; one way*; a | b*; aim; 64 B = 1.5, 1 KiB = -\n";
        let targets = Targets::parse(text).unwrap();
        let aim = |label, column, subject| targets.of(What::Aim, label, ("one way, dense", column, subject), None);
        assert_eq!(aim(Label::Near, "64 B", "a"), Some(1.0));
        assert_eq!(aim(Label::Far, "64 B", "a"), Some(1.5));
        assert_eq!(aim(Label::Far, "64 B", "bcd"), Some(1.5));
        assert_eq!(aim(Label::Far, "64 B", "c"), Some(1.0));
        assert_eq!(aim(Label::Far, "1 KiB", "a"), None);
        assert_eq!(targets.of(What::Before, Label::Far, ("one way", "64 B", "a"), None), None);
    }

    #[test]
    fn a_figure_may_be_compared_with_another_subject() {
        let targets = Targets::parse("near; one way; a; before over b, batches; 64 B = 0.17\n").unwrap();
        assert_eq!(targets.overs("one way", "a").collect::<Vec<_>>(), ["b, batches"]);
        let before = |over| targets.of(What::Before, Label::Near, ("one way", "64 B", "a"), over);
        assert_eq!((before(Some("b, batches")), before(None)), (Some(0.17), None));
    }

    #[test]
    fn a_line_that_is_not_right_is_named() {
        for line in ["near; one way; a; before", "near; one way; a; hopes; * = 1", "near; one way; a; aim; 64 B = fast"]
        {
            assert_eq!(Targets::parse(&format!("# first\n{line}\n")).unwrap_err(), NoTarget { line: 2 }, "{line}");
        }
    }

    /// A line about a figure that does not exist would have no effect, without an error.
    #[test]
    fn every_line_is_about_a_figure_that_there_is() {
        let entries = crate::cases::closing::entries();
        for target in Targets::known().unwrap().0 {
            for (column, _) in &target.values {
                let is_meant = |entry: &&crate::closing::Entry| {
                    matches(&target.table, &entry.table)
                        && matches(&target.subject, &entry.subject)
                        && matches(column, &entry.column)
                };
                assert!(entries.iter().any(|entry| is_meant(&entry)), "{column} of {target:?}");
            }
            if let Some(over) = &target.over {
                assert!(entries.iter().any(|entry| entry.subject == *over), "{target:?}");
            }
        }
    }
}
