//! How carriers compare with one another; a table with one reference per row does not show that.

use std::collections::BTreeMap;

use super::{Figure, Messages};
use crate::probe::Label;
use crate::schedule::Record;
use crate::stats::{Summary, Unit, written_ratio};
use crate::workload::Workload;

/// A carrier's part of a comparison.
struct Entrant {
    name: &'static str,
    median: f64,
    unit: Unit,
}

/// A sentence for each figure, size and label: the carriers from the best to the worst, and how far each is from the
/// best.
pub(crate) fn comparisons(records: &[Record]) -> Vec<String> {
    let mut contests = BTreeMap::<(Figure, usize, Label), (&Messages, Vec<Entrant>)>::new();
    for record in records {
        let Workload::Messages(messages) = &record.case.workload else { continue };
        let mut values = BTreeMap::<Label, Vec<f64>>::new();
        for counted in &record.counted {
            values.entry(counted.label).or_default().push(counted.measurement.value);
        }
        for (label, values) in values {
            let summary = Summary::of(&values).expect("a label is there because of a value");
            let unit = record.counted[0].measurement.unit;
            let entrant = Entrant { name: messages.carrier_name(), median: summary.median, unit };
            let key = (messages.figure, messages.message_bytes, label);
            contests.entry(key).or_insert_with(|| (messages, Vec::new())).1.push(entrant);
        }
    }
    let with_rivals = contests.into_iter().filter(|(_, (_, entrants))| entrants.len() > 1);
    with_rivals.map(|((.., label), (messages, entrants))| sentence(messages, label, entrants)).collect()
}

fn sentence(messages: &Messages, label: Label, mut entrants: Vec<Entrant>) -> String {
    entrants.sort_by(|left, right| left.median.total_cmp(&right.median));
    if messages.figure == Figure::OneWay {
        entrants.reverse();
    }
    let best = entrants[0].median;
    let written = entrants.iter().map(|Entrant { name, median, unit }| {
        let times = if messages.figure == Figure::OneWay { best / median } else { median / best };
        format!("{name} {} ({} x)", unit.written(*median), written_ratio(times))
    });
    let written: Vec<_> = written.collect();
    format!("{} ({label}), best first: {}", messages.discipline(), written.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Carried;
    use crate::workload::waiting::Waiting;

    fn sentence_of(figure: Figure, medians: [f64; 3], unit: Unit) -> String {
        let entrants = ["a", "b", "c"].into_iter().zip(medians).map(|(name, median)| Entrant { name, median, unit });
        let messages = Messages::new(Carried::UnixStreams, figure, 1024, Waiting::Spin);
        sentence(&messages, Label::Near, entrants.collect())
    }

    #[test]
    fn the_shortest_round_trip_comes_first() {
        let sentence = sentence_of(Figure::RoundTrip, [300.0, 100.0, 150.0], Unit::Nanoseconds);
        assert!(sentence.ends_with("b 100 ns (1.00 x); c 150 ns (1.50 x); a 300 ns (3.00 x)"), "{sentence}");
    }

    #[test]
    fn the_highest_rate_comes_first() {
        let sentence = sentence_of(Figure::OneWay, [300e3, 100e3, 150e3], Unit::EventsPerSecond);
        assert!(sentence.ends_with("a 300 k/s (1.00 x); c 150 k/s (2.00 x); b 100 k/s (3.00 x)"), "{sentence}");
    }
}
