//! A picture of a table: a curve for each of its rows, as SVG.

use std::fmt::Write;

use crate::stats::Unit;

/// Curves over the same places. The places have equal distances; values are on a logarithmic scale.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) scale: Scale,
    pub(super) places: Vec<String>,
    pub(super) curves: Vec<Curve>,
}

/// What values are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    Of(Unit),
    /// A ratio; there is a line at 1.
    Times,
}

impl Scale {
    fn written(self, value: f64) -> String {
        match self {
            Self::Of(unit) => unit.written(value),
            Self::Times => format!("{value:.1} x"),
        }
    }
}

/// A curve.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    /// A value for each place that has one.
    pub(super) values: Vec<Option<f64>>,
    /// Drawn in full, not dashed.
    pub(super) is_ours: bool,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
/// Where the curves are: left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (80.0, 40.0, 620.0, 410.0);
/// Colours that can be told apart, also by people with colour blindness.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c564b", "#555555"];
/// The height of a line of text.
const LINE: f64 = 18.0;

impl Picture {
    /// The picture as the text of a file. `None`: there is nothing to draw.
    pub(super) fn svg(&self) -> Option<String> {
        let values =
            || self.curves.iter().flat_map(|curve| &curve.values).flatten().copied().filter(|value| *value > 0.0);
        let (min, max) = (values().min_by(f64::total_cmp)?, values().max_by(f64::total_cmp)?);
        let steps = steps(min, max);
        let (low, high) = (steps[0].log10(), steps[steps.len() - 1].log10());
        let (left, top, right, bottom) = FRAME;
        let x = |place: usize| left + (right - left) * (place as f64 + 0.5) / self.places.len() as f64;
        let y = |value: f64| bottom - (bottom - top) * (value.log10() - low) / (high - low);

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        let mut text = |x: f64, y: f64, anchor: &str, text: &str| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
        };
        text(left, top - LINE, "start", &self.title);
        for (place, name) in self.places.iter().enumerate() {
            text(x(place), bottom + LINE, "middle", name);
        }
        for step in &steps {
            text(left - 6.0, y(*step) + 4.0, "end", &self.scale.written(*step));
        }
        for (row, curve) in self.curves.iter().enumerate() {
            text(right + 40.0, top + 4.0 + LINE * row as f64, "start", &curve.name);
        }
        for step in &steps {
            let is_same = matches!(self.scale, Scale::Times) && (step - 1.0).abs() < f64::EPSILON;
            let colour = if is_same { "#555555" } else { "#dddddd" };
            let _ = writeln!(svg, "<path d=\"M{left} {:.1}H{right}\" stroke=\"{colour}\"/>", y(*step));
        }
        for (row, curve) in self.curves.iter().enumerate() {
            let colour = COLOURS[row % COLOURS.len()];
            let dashes = if curve.is_ours { "" } else { " stroke-dasharray=\"5 4\"" };
            let style = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}");
            let points = curve.values.iter().enumerate();
            let points = points.filter_map(|(place, value)| Some((x(place), y(value.filter(|value| *value > 0.0)?))));
            let mut path = String::new();
            for (x, y) in points {
                let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
            let _ = writeln!(svg, "<path d=\"{path}\" {style}/>");
            let (key, y) = (right + 8.0, top + LINE * row as f64);
            let _ = writeln!(svg, "<path d=\"M{key} {y:.1}h26\" {style}/>");
        }
        Some(svg + "</svg>\n")
    }
}

/// The round values from the last one that is not above `min` to the first that is not below `max`; at least two.
fn steps(min: f64, max: f64) -> Vec<f64> {
    let powers = min.log10().floor() as i32..=max.log10().ceil() as i32 + 1;
    let all: Vec<_> = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power))).collect();
    let first = all.iter().rposition(|step| *step <= min).unwrap_or(0);
    let last = all.iter().position(|step| *step >= max).unwrap_or(all.len() - 1).max(first + 1);
    let steps = all[first..=last].to_vec();
    if steps.len() <= STEPS_MAX {
        return steps;
    }
    // Powers of ten only, and those around the values.
    let (low, high) = (min.log10().floor() as i32, max.log10().ceil() as i32);
    (low..=high).map(|power| 10_f64.powi(power)).collect()
}

/// More lines than this make the picture harder to read.
const STEPS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_begins_and_ends_with_round_values() {
        assert_eq!(steps(0.7, 3.0), [0.5, 1.0, 2.0, 5.0]);
        assert_eq!(steps(100.0, 100.0), [100.0, 200.0]);
        assert_eq!(steps(120.0, 900_000.0), [1e2, 1e3, 1e4, 1e5, 1e6]);
    }

    fn picture(values: Vec<Option<f64>>) -> Picture {
        let curves = vec![Curve { name: "a < b".into(), values, is_ours: false }];
        let places = ["64 B", "1 KiB", "2 MiB"].map(str::to_owned).to_vec();
        Picture { title: "round trip".into(), scale: Scale::Of(Unit::Nanoseconds), places, curves }
    }

    #[test]
    fn a_curve_goes_through_the_places_that_have_a_value() {
        let svg = picture(vec![Some(100.0), None, Some(100_000.0)]).svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        // From the bottom, which is 100 ns, to the top, which is 100 µs.
        assert!(svg.contains("M170.0 410.0L530.0 40.0"), "{svg}");
        for text in ["64 B", "100 ns", "100 µs", "a &lt; b", "stroke-dasharray"] {
            assert!(svg.contains(text), "{text}\n{svg}");
        }
    }

    #[test]
    fn there_is_no_picture_of_nothing() {
        assert!(picture(vec![None, None, None]).svg().is_none());
    }
}
