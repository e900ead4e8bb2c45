//! The bodies of `POST /contacts` as the OpenAPI document describes them.

use history::CallOutcome;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, SchemaType};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::contacts::{LONGEST_KEY, LONGEST_NAME, LONGEST_NOTE};
use crate::limits::MOST_CONTACTS;

/// The JSON body: one contact, or a list of them.
pub struct ContactRequest;

/// The form: one contact.
pub struct ContactForm;

impl ToSchema for ContactRequest {}
impl ToSchema for ContactForm {}

impl PartialSchema for ContactRequest {
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new().items(contact()).min_items(Some(1)).max_items(Some(MOST_CONTACTS));
        let list = ObjectBuilder::new().property("contacts", list).required("contacts");
        AnyOfBuilder::new().item(list).item(contact()).into()
    }
}

impl PartialSchema for ContactForm {
    fn schema() -> RefOr<Schema> {
        let key =
            text("Identifies the form if it is sent again.").max_length(Some(LONGEST_KEY)).pattern(Some("^[!-~]+$"));
        let path =
            text("The path on this site that is shown afterwards; default: /").pattern(Some("^/([!-.0-~][!-~]*)?$"));
        contact().property("key", key).property("return", path).into()
    }
}

/// A contact with its required and optional fields.
fn contact() -> ObjectBuilder {
    let outcomes = CallOutcome::ALL.iter().map(|outcome| outcome.as_str());
    let optional = || SchemaType::Array(vec![Type::String, Type::Null]);
    ObjectBuilder::new()
        .property("corporation", text("The client's id; the column's own name is known too.").min_length(Some(1)))
        .property("outcome", text("What came of the call.").enum_values(Some(outcomes)))
        .property("by", text("Who has called.").min_length(Some(1)).max_length(Some(LONGEST_NAME)))
        .property("note", text("What else is worth knowing.").schema_type(optional()).max_length(Some(LONGEST_NOTE)))
        .property(
            "at",
            text("When the call was made; default: now.")
                .schema_type(optional())
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
        )
        .required("corporation")
        .required("outcome")
        .required("by")
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}
