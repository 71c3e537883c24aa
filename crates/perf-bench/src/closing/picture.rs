//! A picture of a table: a curve for each of its rows, as SVG.
//!
//! **Lives here:** [`Picture`]. **Builds on:** `stats` for how values are written. **May touch it:** `page`.

use std::fmt::Write;

use crate::stats::Unit;

/// Curves over the same places. The places stand at equal distances, values on a logarithmic scale.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) unit: Unit,
    pub(super) places: Vec<String>,
    pub(super) curves: Vec<Curve>,
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
/// Colours that can be told apart, also by those who see few.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c564b", "#555555"];
/// The height of a line of text.
const LINE: f64 = 18.0;

impl Picture {
    /// The picture as the text of a file. `None`: there is nothing to draw.
    pub(super) fn svg(&self) -> Option<String> {
        let values =
            || self.curves.iter().flat_map(|curve| &curve.values).flatten().copied().filter(|value| *value > 0.0);
        let (min, max) = (values().min_by(f64::total_cmp)?, values().max_by(f64::total_cmp)?);
        // Whole powers of ten, of which there are at least two.
        let (low, high) = (min.log10().floor(), max.log10().ceil().max(min.log10().floor() + 1.0));
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
        let tens = (low as i32..=high as i32).map(|power| 10_f64.powi(power));
        for ten in tens.clone() {
            text(left - 6.0, y(ten) + 4.0, "end", &self.unit.written(ten));
        }
        for (row, curve) in self.curves.iter().enumerate() {
            text(right + 40.0, top + 4.0 + LINE * row as f64, "start", &curve.name);
        }
        for ten in tens {
            let y = y(ten);
            let _ = writeln!(svg, "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#dddddd\"/>");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(values: Vec<Option<f64>>) -> Picture {
        let curves = vec![Curve { name: "a < b".into(), values, is_ours: false }];
        let places = ["64 B", "1 KiB", "2 MiB"].map(str::to_owned).to_vec();
        Picture { title: "round trip".into(), unit: Unit::Nanoseconds, places, curves }
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
