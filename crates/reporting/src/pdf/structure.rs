//! The logical structure of a document (tagged PDF): in which order it is read, and what is a heading, a paragraph, a table
//! or a figure. Screen readers and programs that extract text use it.

use std::num::NonZeroU16;

use krilla::tagging::{Identifier, Node, TableHeaderScope, Tag, TagGroup, TagTree};

/// Number of a part of the structure whose elements belong together, also if they are on several pages.
pub type Leaf = usize;

/// The blocks of a document in reading order.
#[derive(Default)]
pub struct Structure {
    blocks: Vec<Block>,
    leaves: usize,
}

/// A block of the structure.
pub enum Block {
    Heading { leaf: Leaf, level: u16 },
    Paragraph(Leaf),
    Figure { leaf: Leaf, label: String },
    Table { header: Vec<Leaf>, rows: Vec<Vec<Leaf>> },
}

impl Structure {
    /// Adds the block that `block` makes of a new leaf; returns the leaf.
    pub fn leaf(&mut self, block: impl FnOnce(Leaf) -> Block) -> Leaf {
        let leaf = self.new_leaf();
        self.blocks.push(block(leaf));
        leaf
    }

    /// Adds a table; returns the leaves of its header and those of the cells of each row.
    pub fn table(&mut self, columns: usize, rows: usize) -> (Vec<Leaf>, Vec<Vec<Leaf>>) {
        let mut row = || (0..columns).map(|_| self.new_leaf()).collect::<Vec<_>>();
        let (header, rows) = (row(), (0..rows).map(|_| row()).collect::<Vec<_>>());
        self.blocks.push(Block::Table { header: header.clone(), rows: rows.clone() });
        (header, rows)
    }

    /// Number of leaves so far; they are numbered from 0.
    pub fn len(&self) -> usize {
        self.leaves
    }

    /// Returns the tags of the document; `contents` are the identifiers of each leaf's elements.
    pub fn tree(&self, mut contents: Vec<Vec<Identifier>>) -> TagTree {
        let mut nodes = |leaf: &Leaf| -> Vec<Node> {
            let identifiers = contents.get_mut(*leaf).map(std::mem::take).unwrap_or_default();
            identifiers.into_iter().map(Node::from).collect()
        };
        let mut tree = TagTree::new().with_lang(Some("en".to_owned()));
        for block in &self.blocks {
            tree.push(match block {
                Block::Heading { leaf, level } => {
                    let level = NonZeroU16::new(*level).unwrap_or(NonZeroU16::MIN);
                    TagGroup::with_children(Tag::Hn(level, None), nodes(leaf))
                }
                Block::Paragraph(leaf) => TagGroup::with_children(Tag::P, nodes(leaf)),
                Block::Figure { leaf, label } => TagGroup::with_children(Tag::Figure(Some(label.clone())), nodes(leaf)),
                Block::Table { header, rows } => {
                    let title = |leaf| TagGroup::with_children(Tag::TH(TableHeaderScope::Column), nodes(leaf)).into();
                    let header = TagGroup::with_children(Tag::TR, header.iter().map(title).collect());
                    let mut row = |row: &Vec<Leaf>| {
                        let cell = |leaf| TagGroup::with_children(Tag::TD, nodes(leaf)).into();
                        TagGroup::with_children(Tag::TR, row.iter().map(cell).collect()).into()
                    };
                    let body = rows.iter().map(&mut row).collect();
                    let head = TagGroup::with_children(Tag::THead, vec![header.into()]);
                    let body = TagGroup::with_children(Tag::TBody, body);
                    TagGroup::with_children(Tag::Table, vec![head.into(), body.into()])
                }
            });
        }
        tree
    }

    fn new_leaf(&mut self) -> Leaf {
        self.leaves += 1;
        self.leaves - 1
    }
}
