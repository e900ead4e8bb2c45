//! A chart with axes, lines and labels in pixels, shared by all charts.

use anyhow::{Result, anyhow};
use plotters::element::{DashedPathElement, Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::svg::{Area, INK, Lettering, QUIET, pixel, write};

pub const PALE: RGBColor = RGBColor(222, 226, 230);
pub const BLUE: RGBColor = RGBColor(8, 69, 148);
pub const SKY: RGBColor = RGBColor(158, 188, 218);

/// A dash pattern: the lengths of a stroke and of the gap after it, in multiples of the text height.
pub type Dash = (f64, f64);
pub const SOLID: Dash = (1.0, 0.0);
pub const DASHED: Dash = (0.6, 0.35);
pub const DOTTED: Dash = (0.12, 0.25);

/// Beyond this number of points, a line has no markers.
pub const MOST_MARKERS: usize = 40;

/// Upper bound for the width of a letter of the labels, relative to its height.
const WIDEST_LETTER: f64 = 0.64;

/// A chart: a title, two axes, and the plotting area between them.
pub struct Plot<'a> {
    area: Area<'a>,
    /// Text height in pixels, the unit of all other sizes.
    text: f64,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    x: (f64, f64),
    y: (f64, f64),
}

/// Position of a label relative to its point.
#[derive(Clone, Copy)]
pub enum At {
    Right,
    Above,
    Below,
}

impl<'a> Plot<'a> {
    /// Draws the title, the axis titles and the frame; `x` and `y` are the limits of the axes.
    pub fn new(area: &Area<'a>, title: &str, names: (&str, &str), x: (f64, f64), y: (f64, f64)) -> Result<Self> {
        let (width, height) = area.dim_in_pixel();
        let (width, height) = (f64::from(width), f64::from(height));
        let text = height / 24.0;
        let (left, top, right, bottom) = (5.0 * text, 3.2 * text, width - 2.2 * text, height - 3.8 * text);
        let plot = Self { area: area.clone(), text, left, top, right, bottom, x: widened(x), y: widened(y) };
        let normal = Lettering::new(text, INK);
        write(area, title, (width / 2.0, 1.2 * text), Lettering { bold: true, size: 1.15 * text, ..normal })?;
        write(area, names.0, ((left + right) / 2.0, height - text), normal)?;
        write(area, names.1, (1.1 * text, (top + bottom) / 2.0), Lettering { upwards: true, ..normal })?;
        plot.path(&[(left, top), (left, bottom), (right, bottom)], INK, 0.06, SOLID)?;
        Ok(plot)
    }

    /// Draws a chart without data: its frame, and a text that says why it is empty.
    pub fn empty(area: &Area<'a>, title: &str, why: &str) -> Result<()> {
        let plot = Self::new(area, title, ("", ""), (0.0, 1.0), (0.0, 1.0))?;
        plot.label((0.5, 0.5), At::Above, why, QUIET)
    }

    /// Draws round numbers along the vertical axis, with grid lines.
    pub fn vertical_ticks(&self, format: impl Fn(f64) -> String) -> Result<()> {
        let lettering = Lettering { anchor: HPos::Right, ..Lettering::new(0.9 * self.text, QUIET) };
        for value in round_ticks(self.y, 5) {
            let y = self.position((self.x.0, value)).1;
            if y < self.bottom {
                self.path(&[(self.left, y), (self.right, y)], PALE, 0.05, SOLID)?;
            }
            write(&self.area, &format(value), (self.left - 0.4 * self.text, y), lettering)?;
        }
        Ok(())
    }

    /// Draws round numbers along the horizontal axis.
    pub fn horizontal_ticks(&self, format: impl Fn(f64) -> String) -> Result<()> {
        round_ticks(self.x, 5).into_iter().try_for_each(|value| self.tick(value, &format(value)))
    }

    /// Draws one label per position, starting at 0, along the horizontal axis; leaves out labels that would overlap.
    pub fn labels(&self, labels: &[String]) -> Result<()> {
        let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
        let room = (longest + 2.0) * 0.9 * self.text * WIDEST_LETTER;
        let step = label_step(labels.len(), room, self.right - self.left);
        labels.iter().enumerate().step_by(step).try_for_each(|(index, label)| self.tick(index as f64, label))
    }

    fn tick(&self, value: f64, label: &str) -> Result<()> {
        let x = self.position((value, self.y.0)).0;
        self.path(&[(x, self.bottom), (x, self.bottom + 0.3 * self.text)], INK, 0.06, SOLID)?;
        write(&self.area, label, (x, self.bottom + self.text), Lettering::new(0.9 * self.text, QUIET))
    }

    /// Draws a line through the points in their order.
    pub fn line(&self, points: &[(f64, f64)], color: RGBColor, thickness: f64, dash: Dash) -> Result<()> {
        let points: Vec<_> = points.iter().map(|point| self.position(*point)).collect();
        self.path(&points, color, thickness, dash)
    }

    /// Draws a dot; if it is not `filled`, its interior is white.
    pub fn dot(&self, point: (f64, f64), size: f64, color: RGBColor, filled: bool) -> Result<()> {
        let at = pixel(self.position(point));
        let radius = (size * self.text).max(2.0) as i32;
        self.draw(&Circle::new(at, radius, color.filled()))?;
        if filled {
            return Ok(());
        }
        let inner = (radius - (0.1 * self.text).max(1.0) as i32).max(1);
        self.draw(&Circle::new(at, inner, WHITE.filled()))
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

    /// Draws a text next to a point on a white background, so that no line runs through it.
    pub fn label(&self, point: (f64, f64), at: At, text: &str, color: RGBColor) -> Result<()> {
        let (x, y) = self.position(point);
        let (size, half) = (0.9 * self.text, 0.5 * self.text);
        let width = text.chars().count() as f64 * size * WIDEST_LETTER * 0.85;
        let (x, y) = match at {
            At::Right => (x + half + width / 2.0, y),
            At::Above => (x, y - 1.6 * half),
            At::Below => (x, y + 1.6 * half),
        };
        // A text that would exceed the plotting area is moved back into it.
        let x = x.min(self.right - width / 2.0).max(self.left + width / 2.0);
        let y = y.clamp(self.top + 1.2 * half, self.bottom - 1.2 * half);
        let ground = [pixel((x - width / 2.0, y - half)), pixel((x + width / 2.0, y + half))];
        self.draw(&Rectangle::new(ground, WHITE.filled()))?;
        write(&self.area, text, (x, y), Lettering::new(size, color))
    }

    /// Draws a horizontal legend at the upper right, above the plotting area: a line sample and a name for each entry.
    pub fn legend(&self, entries: &[(&str, RGBColor, Dash)]) -> Result<()> {
        let size = 0.85 * self.text;
        let width = |name: &str| 3.4 * self.text + name.chars().count() as f64 * size * WIDEST_LETTER * 0.85;
        let mut x = self.right - entries.iter().map(|(name, ..)| width(name)).sum::<f64>();
        let y = self.top - 0.7 * self.text;
        for (name, color, dash) in entries {
            self.path(&[(x, y), (x + 2.0 * self.text, y)], *color, 0.14, *dash)?;
            let lettering = Lettering { anchor: HPos::Left, ..Lettering::new(size, INK) };
            write(&self.area, name, (x + 2.4 * self.text, y), lettering)?;
            x += width(name);
        }
        Ok(())
    }

    fn position(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (
            self.left + share(x, self.x) * (self.right - self.left),
            self.bottom - share(y, self.y) * (self.bottom - self.top),
        )
    }

    fn path(&self, points: &[(f64, f64)], color: RGBColor, thickness: f64, dash: Dash) -> Result<()> {
        let style = color.stroke_width((thickness * self.text).round().max(1.0) as u32);
        let mut points: Vec<_> = points.iter().map(|point| pixel(*point)).collect();
        points.dedup();
        let [stroke, gap] = [dash.0, dash.1].map(|length| (length * self.text).max(2.0) as i32);
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

/// Step with which labels must be drawn so that they fit into `width`, given `count` labels that each need `room`.
fn label_step(count: usize, room: f64, width: f64) -> usize {
    let fit = (width / room).floor().max(1.0) as usize;
    count.div_ceil(fit).max(1)
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
        for (count, room, width) in
            [(1, 90.0, 800.0), (2, 90.0, 800.0), (12, 90.0, 800.0), (500, 90.0, 800.0), (9, 900.0, 800.0)]
        {
            let step = label_step(count, room, width);
            let shown = count.div_ceil(step);
            assert!(shown >= 1 && (shown as f64 * room <= width || shown == 1), "{count}: every {step}");
        }
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
