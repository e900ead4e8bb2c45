//! A chart with axes, lines and a legend in pixels, shared by all charts.

use anyhow::{Result, anyhow};
use plotters::element::{DashedPathElement, Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::palette::{GRID, INK, QUIET, SURFACE};
use crate::svg::{Area, Lettering, pixel, write};

/// Font size of running text in pixels, the unit of all other sizes.
const TEXT: f64 = 24.0;
/// Font size of the numbers along the axes and of the legend.
const SMALL: f64 = 0.9 * TEXT;

/// A dash pattern: the lengths of a stroke and of the gap after it, in multiples of the text size.
pub type Dash = (f64, f64);
pub const SOLID: Dash = (1.0, 0.0);
pub const DASHED: Dash = (0.7, 0.4);
pub const DOTTED: Dash = (0.15, 0.3);

/// Beyond this number of points, a line has no markers.
pub const MOST_MARKERS: usize = 40;

/// The parts of a chart around its data.
pub struct Frame<'a> {
    pub title: &'a str,
    pub x: Axis<'a>,
    pub y: Axis<'a>,
    pub legend: &'a [(&'a str, RGBColor, Sign)],
}

/// An axis: its name, its limits, and the values that have a label. Labels of the horizontal axis that would overlap are
/// left out.
pub struct Axis<'a> {
    name: &'a str,
    limits: (f64, f64),
    ticks: Vec<(f64, String)>,
}

impl<'a> Axis<'a> {
    /// An axis with labels at round numbers.
    pub fn of_numbers(name: &'a str, limits: (f64, f64), format: impl Fn(f64) -> String) -> Self {
        let limits = widened(limits);
        let ticks = round_ticks(limits, 5).into_iter().map(|value| (value, format(value))).collect();
        Self { name, limits, ticks }
    }

    /// An axis with one label for each of the positions 0, 1, 2 and so on.
    pub fn of_labels(name: &'a str, labels: Vec<String>) -> Self {
        let last = labels.len().saturating_sub(1) as f64;
        let room = (last * 0.03).max(0.5);
        let ticks = labels.into_iter().enumerate().map(|(index, label)| (index as f64, label)).collect();
        Self { name, limits: (-room, last + room), ticks }
    }

    /// The first and the last value of the axis.
    pub fn limits(&self) -> (f64, f64) {
        self.limits
    }
}

/// What an entry of the legend shows.
#[derive(Clone, Copy)]
pub enum Sign {
    /// A line with this dash pattern.
    Line(Dash),
    /// A bar in the colour of an area.
    Area,
    /// A dot, filled or as a ring.
    Dot(bool),
}

/// A chart: a title, two axes, and the plotting area between them.
pub struct Plot<'a> {
    area: Area<'a>,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl<'a> Plot<'a> {
    /// Draws the title, the legend, the axes with their labels, and the grid lines.
    pub fn new(area: &Area<'a>, frame: &Frame) -> Result<Self> {
        let Frame { title, x, y, legend } = frame;
        let (width, height) = size(area);
        let small = Lettering::new(SMALL, QUIET);
        let widest = y.ticks.iter().map(|(_, label)| small.width(label)).fold(0.0, f64::max);
        let left = (2.9 * TEXT + widest).max(5.2 * TEXT);
        let rows = legend_rows(legend, width - left - 0.5 * TEXT);
        let top = (2.7 + 1.4 * rows.len() as f64) * TEXT;
        let plot = Self {
            area: area.clone(),
            left,
            top,
            right: width - 1.8 * TEXT,
            bottom: height - 3.4 * TEXT,
            x: x.limits,
            y: y.limits,
        };
        write_title(area, title)?;
        for (row, entries) in rows.iter().enumerate() {
            plot.legend(entries, (2.6 + 1.4 * row as f64) * TEXT)?;
        }
        let name = Lettering::new(TEXT, INK);
        let (middle, center) = ((left + plot.right) / 2.0, (top + plot.bottom) / 2.0);
        write(area, x.name, (middle, height - TEXT), name.fitted(x.name, width - left))?;
        let upwards = Lettering { upwards: true, ..name.fitted(y.name, height - 3.0 * TEXT) };
        write(area, y.name, (1.1 * TEXT, center), upwards)?;
        for (value, label) in &y.ticks {
            let at = plot.position((x.limits.0, *value)).1;
            if at < plot.bottom - 1.0 {
                plot.path(&[(left, at), (plot.right, at)], GRID, 0.05, SOLID)?;
            }
            write(area, label, (left - 0.5 * TEXT, at), Lettering { anchor: HPos::Right, ..small })?;
        }
        plot.horizontal_ticks(&x.ticks, small)?;
        plot.path(&[(left, top), (left, plot.bottom), (plot.right, plot.bottom)], INK, 0.06, SOLID)?;
        Ok(plot)
    }

    /// Draws a title and, in place of a chart, a text that says why there is none.
    pub fn empty(area: &Area, title: &str, why: &str) -> Result<()> {
        let (width, height) = size(area);
        write_title(area, title)?;
        let lettering = Lettering::new(TEXT, QUIET).fitted(why, width - 2.0 * TEXT);
        write(area, why, (width / 2.0, height / 2.0), lettering)
    }

    /// Draws the labels below the horizontal axis from the last one backwards, without those that would touch.
    fn horizontal_ticks(&self, ticks: &[(f64, String)], lettering: Lettering) -> Result<()> {
        let width = size(&self.area).0;
        let mut free = width; // the labels so far begin here
        let position =
            |tick: Option<&(f64, String)>| tick.map_or(0.0, |(value, _)| self.position((*value, self.y.0)).0);
        let step = label_step(ticks, lettering, position(ticks.last()) - position(ticks.first()));
        for (value, label) in ticks.iter().rev().step_by(step) {
            let x = self.position((*value, self.y.0)).0;
            let label = lettering.shortened(label, width / 3.0);
            let half = lettering.width(&label) / 2.0;
            let center = x.clamp(half + 2.0, (width - half - 2.0).max(half + 2.0));
            if center + half > free {
                continue;
            }
            free = center - half - TEXT;
            self.path(&[(x, self.bottom), (x, self.bottom + 0.3 * TEXT)], INK, 0.06, SOLID)?;
            write(&self.area, &label, (center, self.bottom + 1.1 * TEXT), lettering)?;
        }
        Ok(())
    }

    /// Draws one row of the legend above the plotting area.
    fn legend(&self, entries: &[(&str, RGBColor, Sign)], y: f64) -> Result<()> {
        let mut x = self.left;
        for entry in entries {
            let (name, color, sign) = entry;
            match sign {
                Sign::Line(dash) => self.path(&[(x, y), (x + SAMPLE, y)], *color, 0.14, *dash)?,
                Sign::Area => self.path(&[(x, y), (x + SAMPLE, y)], *color, 0.5, SOLID)?,
                Sign::Dot(filled) => self.circle((x + 0.3 * TEXT, y), 0.3, *color, *filled)?,
            }
            let lettering = Lettering::new(SMALL, INK).left_aligned();
            let left = x + sign.width() + 0.4 * TEXT;
            write(&self.area, name, (left, y), lettering.fitted(name, self.right - left))?;
            x += entry_width(entry);
        }
        Ok(())
    }

    /// Draws a line through the points in their order.
    pub fn line(&self, points: &[(f64, f64)], color: RGBColor, thickness: f64, dash: Dash) -> Result<()> {
        let points: Vec<_> = points.iter().map(|point| self.position(*point)).collect();
        self.path(&points, color, thickness, dash)
    }

    /// Draws a dot; if it is not `filled`, a ring.
    pub fn dot(&self, point: (f64, f64), size: f64, color: RGBColor, filled: bool) -> Result<()> {
        self.circle(self.position(point), size, color, filled)
    }

    /// Draws a filled polygon with the given corners.
    pub fn shape(&self, corners: &[(f64, f64)], color: RGBColor) -> Result<()> {
        let corners: Vec<_> = corners.iter().map(|corner| pixel(self.position(*corner))).collect();
        self.draw(&Polygon::new(corners, color.filled()))
    }

    /// Draws a bar from the horizontal axis upwards.
    pub fn bar(&self, x: (f64, f64), height: f64, color: RGBColor) -> Result<()> {
        let (corner, opposite) = (pixel(self.position((x.0, height))), pixel(self.position((x.1, 0.0))));
        self.draw(&Rectangle::new([corner, (opposite.0 - 1, opposite.1)], color.filled()))
    }

    fn position(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (
            self.left + share(x, self.x) * (self.right - self.left),
            self.bottom - share(y, self.y) * (self.bottom - self.top),
        )
    }

    fn circle(&self, at: (f64, f64), size: f64, color: RGBColor, filled: bool) -> Result<()> {
        let radius = (size * TEXT).max(2.0) as i32;
        self.draw(&Circle::new(pixel(at), radius, color.filled()))?;
        if filled {
            return Ok(());
        }
        let inner = (radius - (0.12 * TEXT) as i32).max(1);
        self.draw(&Circle::new(pixel(at), inner, SURFACE.filled()))
    }

    fn path(&self, points: &[(f64, f64)], color: RGBColor, thickness: f64, dash: Dash) -> Result<()> {
        let style = color.stroke_width((thickness * TEXT).round().max(1.0) as u32);
        let mut points: Vec<_> = points.iter().map(|point| pixel(*point)).collect();
        points.dedup();
        let [stroke, gap] = [dash.0, dash.1].map(|length| (length * TEXT).max(2.0) as i32);
        match dash.1 {
            0.0 => self.draw(&PathElement::new(points, style)),
            _ => self.draw(&DashedPathElement::new(points, stroke, gap, style)),
        }
    }

    fn draw<E>(&self, element: &E) -> Result<()>
    where
        for<'e> &'e E: PointCollection<'e, (i32, i32)>,
        E: Drawable<SVGBackend<'a>>,
    {
        self.area.draw(element).map_err(|error| anyhow!("drawing a part of a chart: {error}"))
    }
}

/// Length of a line in the legend.
const SAMPLE: f64 = 1.6 * TEXT;

impl Sign {
    fn width(self) -> f64 {
        match self {
            Self::Line(_) | Self::Area => SAMPLE,
            Self::Dot(_) => 0.6 * TEXT,
        }
    }
}

/// Width of an entry of the legend, with the space to the next one.
fn entry_width((name, _, sign): &(&str, RGBColor, Sign)) -> f64 {
    sign.width() + 1.5 * TEXT + Lettering::new(SMALL, INK).width(name)
}

/// Divides the entries of a legend into rows of at most `room` pixels.
fn legend_rows<'e, 'a>(entries: &'e [(&'a str, RGBColor, Sign)], room: f64) -> Vec<&'e [(&'a str, RGBColor, Sign)]> {
    let (mut rows, mut start, mut filled) = (Vec::new(), 0, 0.0);
    for (index, entry) in entries.iter().enumerate() {
        let width = entry_width(entry);
        if filled + width > room && index > start {
            rows.push(&entries[start..index]);
            (start, filled) = (index, 0.0);
        }
        filled += width;
    }
    rows.extend((start < entries.len()).then(|| &entries[start..]));
    rows
}

/// Draws the title of a chart at its upper left corner.
fn write_title(area: &Area, title: &str) -> Result<()> {
    let width = size(area).0;
    let lettering = Lettering::new(1.1 * TEXT, INK).bold().left_aligned();
    write(area, title, (0.6 * TEXT, 1.2 * TEXT), lettering.fitted(title, width - 1.2 * TEXT))
}

/// Width and height of an area in pixels.
fn size(area: &Area) -> (f64, f64) {
    let (width, height) = area.dim_in_pixel();
    (f64::from(width), f64::from(height))
}

/// Step with which labels must be drawn so that none of them touches the next one, if they are evenly distributed over
/// `width` pixels.
fn label_step(ticks: &[(f64, String)], lettering: Lettering, width: f64) -> usize {
    let widest = ticks.iter().map(|(_, label)| lettering.width(label)).fold(0.0, f64::max);
    let spaces = ticks.len().saturating_sub(1);
    let step = ((widest + TEXT) * spaces as f64 / width.max(1.0)).ceil() as usize;
    step.clamp(1, spaces.max(1))
}

/// Round numbers within a range, about `count` of them; includes the limits of the range if they are round.
fn round_ticks((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let raw = (high - low) / count as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= raw * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|multiple| multiple as f64 * step).collect()
}

/// The limits of an axis; limits that are equal are moved apart, because an axis must have a length.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if high > low { (low, high) } else { (low - 0.5, low + 0.5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_touch() {
        let lettering = Lettering::new(SMALL, QUIET);
        for (count, label) in
            [(1, "25 Nov"), (2, "25 Nov"), (12, "25 Nov 06:00"), (500, "25 Nov"), (9, &"x".repeat(99))]
        {
            let ticks: Vec<_> = (0..count).map(|index| (f64::from(index), label.to_owned())).collect();
            let step = label_step(&ticks, lettering, 800.0);
            let distance = 800.0 * step as f64 / f64::from(count - 1).max(1.0);
            // Two labels that are too long are drawn at the ends; the second of them is left out.
            assert!(step == ticks.len() - 1 || distance >= lettering.width(label) + TEXT, "{count} of {label}");
        }
    }

    #[test]
    fn a_legend_continues_in_a_second_row_and_a_long_name_has_a_row_of_its_own() {
        let long = "x".repeat(200);
        let entry = |name| (name, INK, Sign::Area);
        let rows = |names: &[&'static str]| {
            let entries: Vec<_> = names.iter().map(|name| entry(*name)).collect();
            legend_rows(&entries, 400.0).iter().map(|row| row.len()).collect::<Vec<_>>()
        };
        assert_eq!((rows(&[]), rows(&["one", "two"])), (vec![], vec![2]));
        assert_eq!(rows(&["number of employees", "last year's activity", "exited"]), [1, 1, 1]);
        let entries = [entry("one"), entry(&long), entry("two")];
        assert_eq!(legend_rows(&entries, 400.0).len(), 3);
    }

    #[test]
    fn ticks_are_round_and_lie_within() {
        assert_eq!(round_ticks((0.0, 1.0), 5).len(), 6);
        for (low, high) in [(0.0, 3.7), (0.0, 1e-3), (0.0, 12345.0), (-2.0, 2.0)] {
            let ticks = round_ticks((low, high), 5);
            assert!(
                (2..=7).contains(&ticks.len()) && ticks.iter().all(|tick| (low..=high).contains(tick)),
                "{ticks:?}"
            );
        }
    }
}
