//! A graph of operators that is being built, with a name for every tensor.

use std::collections::{HashMap, HashSet};

use super::proto::{self, Attributes};
use super::protobuf::Message;
use crate::schema::free_name;

/// Operators and constants. Every tensor has a name that no other tensor, input or output has.
pub(super) struct Graph {
    taken: HashSet<String>,
    nodes: Vec<Message>,
    constants: Vec<Message>,
    /// Names of the constant numbers, by their bits.
    scalars: HashMap<u64, String>,
}

impl Graph {
    /// Creates an empty graph. `reserved` are the names of its inputs and outputs.
    pub(super) fn new<'a>(reserved: impl Iterator<Item = &'a str>) -> Self {
        Self {
            taken: reserved.map(str::to_owned).collect(),
            nodes: Vec::new(),
            constants: Vec::new(),
            scalars: HashMap::new(),
        }
    }

    /// Applies an operator to tensors. Returns the name of the result, which is `name` if no other tensor has it.
    pub(super) fn apply(&mut self, operator: &str, inputs: &[&str], name: &str) -> String {
        self.apply_with(operator, inputs, &[], name)
    }

    /// Like [`Graph::apply`], with attributes of the operator.
    pub(super) fn apply_with(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &Attributes,
        name: &str,
    ) -> String {
        let result = self.free(name);
        self.output(operator, inputs, attributes, &result);
        result
    }

    /// Like [`Graph::apply_with`]; the result is the output `name` of the graph.
    pub(super) fn output(&mut self, operator: &str, inputs: &[&str], attributes: &Attributes, name: &str) {
        self.nodes.push(proto::node(operator, inputs, name, attributes));
    }

    /// Returns the name of a constant number; each number exists once.
    pub(super) fn number(&mut self, number: f64) -> String {
        if let Some(name) = self.scalars.get(&number.to_bits()) {
            return name.clone();
        }
        let name = self.free(&format!("{number:?}"));
        self.constants.push(proto::numbers(&name, &[number], true));
        self.scalars.insert(number.to_bits(), name.clone());
        name
    }

    /// Returns the name of a constant integer.
    pub(super) fn integer(&mut self, integer: i64) -> String {
        let name = self.free(&format!("integer {integer}"));
        self.constants.push(proto::integer(&name, integer));
        name
    }

    /// Returns the name of a constant vector.
    pub(super) fn numbers(&mut self, numbers: &[f64], name: &str) -> String {
        let name = self.free(name);
        self.constants.push(proto::numbers(&name, numbers, false));
        name
    }

    /// Returns the graph with its inputs and outputs.
    pub(super) fn finish(
        self,
        inputs: impl Iterator<Item = Message>,
        outputs: impl Iterator<Item = Message>,
    ) -> Message {
        proto::graph(&self.nodes, &self.constants, inputs, outputs)
    }

    fn free(&mut self, name: &str) -> String {
        let name = free_name(name, |name| self.taken.contains(name)).into_owned();
        self.taken.insert(name.clone());
        name
    }
}
