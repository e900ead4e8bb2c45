//! Drawing of axes, lines and labels in pixels, shared by all charts.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, FontTransform, TextStyle};

use crate::Area;
use crate::canvas::FONT;

pub const INK: RGBColor = RGBColor(34, 34, 34);
pub const QUIET: RGBColor = RGBColor(96, 96, 96);
pub const PALE: RGBColor = RGBColor(222, 226, 230);
pub const BLUE: RGBColor = RGBColor(8, 69, 148);
pub const SKY: RGBColor = RGBColor(158, 188, 218);

/// A dash pattern: the lengths of a stroke and of the gap after it, in multiples of the text height.
pub type Dash = (f64, f64);
pub const SOLID: Dash = (1.0, 0.0);
pub const DASHED: Dash = (0.6, 0.35);
pub const DOTTED: Dash = (0.12, 0.25);

/// A chart: a title, two axes, and the plotting area between them.
pub struct Plot<'a, B: DrawingBackend> {
    area: &'a Area<B>,
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

impl<'a, B: DrawingBackend> Plot<'a, B> {
    /// Draws the title, the axis titles and the frame; `x` and `y` are the limits of the axes.
    pub fn new(area: &'a Area<B>, title: &str, names: (&str, &str), x: (f64, f64), y: (f64, f64)) -> Result<Self> {
        let (width, height) = area.dim_in_pixel();
        let text = f64::from(height) / 26.0;
        let plot = Self {
            area,
            text,
            left: 5.0 * text,
            top: 3.2 * text,
            right: f64::from(width) - 1.6 * text,
            bottom: f64::from(height) - 3.8 * text,
            x: widened(x),
            y: widened(y),
        };
        let middle = (plot.left + plot.right) / 2.0;
        plot.write(title, (f64::from(width) / 2.0, 1.2 * text), 1.15, FontStyle::Bold, INK, HPos::Center, false)?;
        let below = f64::from(height) - 1.0 * text;
        plot.write(names.0, (middle, below), 1.0, FontStyle::Normal, INK, HPos::Center, false)?;
        let beside = (1.1 * text, (plot.top + plot.bottom) / 2.0);
        plot.write(names.1, beside, 1.0, FontStyle::Normal, INK, HPos::Center, true)?;
        let corners = [(plot.left, plot.top), (plot.left, plot.bottom), (plot.right, plot.bottom)];
        plot.path(&corners, INK, 0.06)?;
        Ok(plot)
    }

    /// Draws a chart without data: its frame, and a text that says why it is empty.
    pub fn empty(area: &'a Area<B>, title: &str, why: &str) -> Result<()> {
        let plot = Self::new(area, title, ("", ""), (0.0, 1.0), (0.0, 1.0))?;
        plot.label((0.5, 0.5), At::Above, why, QUIET)
    }

    /// Draws round numbers along the vertical axis, with grid lines.
    pub fn vertical_ticks(&self, format: impl Fn(f64) -> String) -> Result<()> {
        for value in round_ticks(self.y, 5) {
            let y = self.place((self.x.0, value)).1;
            self.path(&[(self.left, y), (self.right, y)], PALE, 0.05)?;
            let at = (self.left - 0.4 * self.text, y);
            self.write(&format(value), at, 0.9, FontStyle::Normal, QUIET, HPos::Right, false)?;
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
        let shown = labels.iter().enumerate().step_by(step);
        shown.into_iter().try_for_each(|(place, label)| self.tick(place as f64, label))
    }

    fn tick(&self, value: f64, label: &str) -> Result<()> {
        let x = self.place((value, self.y.0)).0;
        self.path(&[(x, self.bottom), (x, self.bottom + 0.3 * self.text)], INK, 0.06)?;
        let at = (x, self.bottom + 1.0 * self.text);
        self.write(label, at, 0.9, FontStyle::Normal, QUIET, HPos::Center, false)
    }

    /// Draws a line through the points in their order.
    pub fn line(&self, points: &[(f64, f64)], color: RGBColor, thickness: f64, dash: Dash) -> Result<()> {
        let places: Vec<_> = points.iter().map(|point| self.place(*point)).collect();
        let dashes = if dash.1 == 0.0 { vec![places] } else { dashes(&places, dash, self.text) };
        dashes.iter().try_for_each(|dash| self.path(dash, color, thickness))
    }

    /// Draws a dot; if it is not `filled`, its interior is white.
    pub fn dot(&self, point: (f64, f64), size: f64, color: RGBColor, filled: bool) -> Result<()> {
        let (x, y) = self.place(point);
        let at = (x.round() as i32, y.round() as i32);
        let radius = (size * self.text).max(2.0) as i32;
        let fail = |error| anyhow!("drawing a dot: {error}");
        self.area.draw(&Circle::new(at, radius, color.filled())).map_err(fail)?;
        if !filled {
            let inner = (radius - (0.1 * self.text).max(1.0) as i32).max(1);
            self.area.draw(&Circle::new(at, inner, WHITE.filled())).map_err(fail)?;
        }
        Ok(())
    }

    /// Draws a filled polygon with the given corners.
    pub fn shape(&self, corners: &[(f64, f64)], color: RGBColor) -> Result<()> {
        let places: Vec<_> = corners.iter().map(|corner| pixel(self.place(*corner))).collect();
        self.area.draw(&Polygon::new(places, color.filled())).map_err(|error| anyhow!("drawing a shape: {error}"))
    }

    /// Draws a bar from the horizontal axis upwards.
    pub fn bar(&self, x: (f64, f64), height: f64, color: RGBColor) -> Result<()> {
        let (corner, opposite) = (pixel(self.place((x.0, height))), pixel(self.place((x.1, 0.0))));
        let bar = Rectangle::new([corner, (opposite.0 - 1, opposite.1)], color.filled());
        self.area.draw(&bar).map_err(|error| anyhow!("drawing a bar: {error}"))
    }

    /// Draws a text next to a point on a white background, so that no line runs through it.
    pub fn label(&self, point: (f64, f64), at: At, text: &str, color: RGBColor) -> Result<()> {
        let (x, y) = self.place(point);
        let gap = 0.5 * self.text;
        let wide = text.chars().count() as f64 * 0.9 * self.text * WIDEST_LETTER * 0.85;
        let (x, y, anchor) = match at {
            At::Right => (x + gap, y, HPos::Left),
            At::Above => (x, y - 1.6 * gap, HPos::Center),
            At::Below => (x, y + 1.6 * gap, HPos::Center),
        };
        // A text that would exceed the plotting area is moved back into it.
        let half = wide / 2.0;
        let x = match anchor {
            HPos::Left => x.min(self.right - wide),
            _ => x.clamp(self.left + half, (self.right - half).max(self.left + half)),
        };
        let y = y.clamp(self.top + 0.6 * self.text, self.bottom - 0.6 * self.text);
        let start = match anchor {
            HPos::Left => x,
            _ => x - half,
        };
        let ground = [pixel((start, y - 0.5 * self.text)), pixel((start + wide, y + 0.5 * self.text))];
        self.area.draw(&Rectangle::new(ground, WHITE.filled())).map_err(|error| anyhow!("drawing a label: {error}"))?;
        self.write(text, (x, y), 0.9, FontStyle::Normal, color, anchor, false)
    }

    /// Draws a horizontal legend at the upper right, above the plotting area: a line sample and a name for each entry.
    pub fn legend(&self, entries: &[(&str, RGBColor, Dash)]) -> Result<()> {
        let letter = 0.85 * self.text * WIDEST_LETTER * 0.9;
        let wide = |name: &str| 2.4 * self.text + name.chars().count() as f64 * letter + self.text;
        let mut x = self.right - entries.iter().map(|(name, ..)| wide(name)).sum::<f64>();
        let y = self.top - 0.7 * self.text;
        for (name, color, dash) in entries {
            let stroke = [(x, y), (x + 2.0 * self.text, y)];
            let parts = if dash.1 == 0.0 { vec![stroke.to_vec()] } else { dashes(&stroke, *dash, self.text) };
            parts.iter().try_for_each(|part| self.path(part, *color, 0.14))?;
            let at = (x + 2.4 * self.text, y);
            self.write(name, at, 0.85, FontStyle::Normal, INK, HPos::Left, false)?;
            x += wide(name);
        }
        Ok(())
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (
            self.left + share(x, self.x) * (self.right - self.left),
            self.bottom - share(y, self.y) * (self.bottom - self.top),
        )
    }

    fn path(&self, places: &[(f64, f64)], color: RGBColor, thickness: f64) -> Result<()> {
        let thickness = (thickness * self.text).round().max(1.0) as u32;
        let places: Vec<_> = places.iter().map(|place| pixel(*place)).collect();
        let path = PathElement::new(places, color.stroke_width(thickness));
        self.area.draw(&path).map_err(|error| anyhow!("drawing a line: {error}"))
    }

    #[expect(clippy::too_many_arguments, reason = "all that a text is")]
    fn write(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        style: FontStyle,
        color: RGBColor,
        anchor: HPos,
        turned: bool,
    ) -> Result<()> {
        let font = FontDesc::new(FontFamily::Name(FONT), size * self.text, style);
        let font = if turned { font.transform(FontTransform::Rotate270) } else { font };
        let style = TextStyle::from(font).color(&color).pos(Pos::new(anchor, VPos::Center));
        let text = Text::new(text.to_owned(), pixel(at), style);
        self.area.draw(&text).map_err(|error| anyhow!("drawing text: {error}"))
    }
}

/// Upper bound for the width of a letter of the labels, relative to its height.
const WIDEST_LETTER: f64 = 0.64;

/// Step with which labels must be drawn so that they fit into `width`, given `count` labels that each need `room`.
pub fn label_step(count: usize, room: f64, width: f64) -> usize {
    let fit = (width / room).floor().max(1.0) as usize;
    count.div_ceil(fit).max(1)
}

/// Round numbers within a range, about `count` of them; includes the limits of the range if they are round.
pub fn round_ticks((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let raw = (high - low) / count as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= raw * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|place| place as f64 * step).collect()
}

/// The limits of an axis; limits that are equal are moved apart, because an axis must have a length.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if high > low { (low, high) } else { (low - 0.5, low + 0.5) }
}

fn pixel((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// Splits a line into the strokes of a dash pattern; `text` is the text height in pixels.
fn dashes(places: &[(f64, f64)], dash: Dash, text: f64) -> Vec<Vec<(f64, f64)>> {
    let (ink, gap) = ((dash.0 * text).max(2.0), (dash.1 * text).max(2.0));
    let mut pieces = Vec::new();
    let mut piece: Vec<(f64, f64)> = Vec::new();
    let (mut drawing, mut left) = (true, ink);
    for pair in places.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let (dx, dy) = (to.0 - from.0, to.1 - from.1);
            let length = dx.hypot(dy);
            let step = length.min(left);
            let next = if length > 0.0 { (from.0 + dx * step / length, from.1 + dy * step / length) } else { to };
            if drawing {
                if piece.is_empty() {
                    piece.push(from);
                }
                piece.push(next);
            }
            left -= step;
            if left <= 0.0 {
                if drawing {
                    pieces.push(std::mem::take(&mut piece));
                }
                drawing = !drawing;
                left = if drawing { ink } else { gap };
            }
            from = next;
            if step >= length {
                break;
            }
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| piece.len() > 1);
    pieces
}
