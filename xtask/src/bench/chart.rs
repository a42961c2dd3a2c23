//! Pure: a line chart as SVG, readable on a light and on a dark page.

use std::fmt::Write;

/// Lines over one pair of axes, both from zero.
pub(crate) struct Chart {
    /// Above everything.
    pub(crate) title: &'static str,
    /// What the horizontal axis counts.
    pub(crate) x: &'static str,
    /// What the vertical axis counts.
    pub(crate) y: &'static str,
    /// Name and points of each line.
    pub(crate) lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
const TICKS: usize = 5;
/// Told apart also by those who do not see red and green.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

impl Chart {
    /// The whole picture.
    pub(crate) fn svg(&self) -> String {
        let most = |of: fn(&(f64, f64)) -> f64| {
            let all = self.lines.iter().flat_map(|(_, points)| points).map(of);
            rounded(all.fold(1.0, f64::max))
        };
        let (most_x, most_y) = (most(|p| p.0), most(|p| p.1));
        let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="24" font-size="16">{}</text>
"##,
            self.title
        );
        for tick in 0..=TICKS {
            let share = tick as f64 / TICKS as f64;
            let (at, value) = (y(most_y * share), most_y * share);
            let (right, below) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
            let _ = write!(
                svg,
                r##"<line x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}" stroke="#dddddd"/>
<text x="{}" y="{:.1}" text-anchor="end">{value}</text>
<text x="{:.1}" y="{}" text-anchor="middle">{}</text>
"##,
                LEFT - 8.0,
                at + 4.0,
                x(most_x * share),
                below + 20.0,
                most_x * share,
            );
        }
        let _ = write!(
            svg,
            r#"<text x="{}" y="{}" text-anchor="middle">{}</text>
<text x="18" y="{}" text-anchor="middle" transform="rotate(-90 18 {})">{}</text>
"#,
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 16.0,
            self.x,
            f64::midpoint(TOP, HEIGHT - BOTTOM),
            f64::midpoint(TOP, HEIGHT - BOTTOM),
            self.y,
        );
        for (i, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let path: Vec<String> =
                points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
            let legend = TOP + 16.0 + 18.0 * i as f64;
            let _ = write!(
                svg,
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>
<text x="{}" y="{legend}" fill="{colour}">{name}</text>
"#,
                path.join(" "),
                LEFT + 16.0,
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// The next number up whose five parts are easy to read: 5, 10, 20 or 50 with zeros.
fn rounded(value: f64) -> f64 {
    let mut size = 5.0;
    for factor in [2.0, 2.0, 2.5].into_iter().cycle() {
        if size >= value {
            break;
        }
        size *= factor;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_numbers_that_are_easy_to_read() {
        assert_eq!([3.0, 7.0, 11.0, 50.0, 51.0].map(rounded), [5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(rounded(5_200.0), 10_000.0);
    }

    #[test]
    fn a_line_runs_from_corner_to_corner() {
        let lines = vec![("memory", vec![(0.0, 0.0), (10.0, 100.0)])];
        let svg = Chart { title: "t", x: "a", y: "b", lines }.svg();
        assert!(svg.contains(r#"points="80.0,340.0 700.0,50.0""#), "{svg}");
        assert!(svg.contains(">memory</text>") && svg.ends_with("</svg>\n"));
    }
}
