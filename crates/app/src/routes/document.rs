//! What the OpenAPI document says about the columns of a client table.

use common::api::Endpoint;
use common::model::Model;
use common::model::effect::Effect;
use common::schema::{Kind, LARGEST_COUNT, Predictor, Schema, Target, Transform};
use dataset::{CategoryStatistics, ColumnStatistics, LevelShare};
use history::MissingRow;
use insight::wording::capitalised;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, SchemaType};
use utoipa::openapi::{
    ArrayBuilder, Content, KnownFormat, Object, ObjectBuilder, OpenApi, Ref, RefOr, Required, Schema as Described,
    SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::answer;

/// The JSON body of `POST /prediction`: exactly one of the two keys.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `prediction` reads it")]
pub enum PredictionRequest {
    /// Path of a CSV file in one of the data folders.
    #[schema(rename = "filepath", example = "testdata/testdata.csv")]
    File(String),
    /// The clients, one object each.
    #[schema(rename = "rows")]
    Rows(Vec<ClientRow>),
}

/// One client as JSON. [`of`] adds the columns to its description.
pub struct ClientRow;

impl PartialSchema for ClientRow {
    fn schema() -> RefOr<Described> {
        Object::with_type(Type::Object).into()
    }
}

impl ToSchema for ClientRow {}

/// Returns `document` with the columns of `schema`; `model` is the live model if it has these columns.
pub fn of(document: &OpenApi, schema: &Schema, model: Option<&Model>) -> OpenApi {
    let mut document = document.clone();
    let has_categories = schema.has_categories();
    if let Some(components) = &mut document.components {
        components.schemas.insert(ClientRow::name().into_owned(), client_row(schema, model).into());
        components.schemas.insert("MissingRow".to_owned(), MissingRow::api_schema(schema).into());
        if has_categories {
            components.schemas.insert(CategoryStatistics::name().into_owned(), CategoryStatistics::schema());
            components.schemas.insert(LevelShare::name().into_owned(), LevelShare::schema());
        }
    }
    let operations = |endpoint: Endpoint, document: &mut OpenApi, change: &dyn Fn(&mut Operation)| {
        let path = document.paths.paths.get_mut(&endpoint.documented_path());
        if let Some(path) = path {
            [&mut path.get, &mut path.post].into_iter().flatten().for_each(change);
        }
    };
    operations(Endpoint::Client, &mut document, &|operation| {
        let what_if = what_if_parameters(schema).map(RefOr::T);
        operation.parameters.get_or_insert_default().extend(what_if);
    });
    operations(Endpoint::Prediction, &mut document, &|operation| {
        if let Some(table) = answered(operation, "text/csv") {
            table.example = Some(example(schema).into());
        }
    });
    if has_categories {
        operations(Endpoint::SummaryStatistics, &mut document, &|operation| {
            if let Some(list) = answered(operation, "application/json") {
                let both = [ColumnStatistics::name(), CategoryStatistics::name()];
                let both =
                    both.into_iter().fold(AnyOfBuilder::new(), |any, name| any.item(Ref::from_schema_name(name)));
                list.schema = Some(ArrayBuilder::new().items(both).build().into());
            }
        });
    }
    document
}

/// The content of the answer with status 200.
fn answered<'o>(operation: &'o mut Operation, media_type: &str) -> Option<&'o mut Content> {
    let RefOr::T(response) = operation.responses.responses.get_mut("200")? else { return None };
    match response.content.get_mut(media_type)? {
        RefOr::T(content) => Some(content),
        RefOr::Ref(_) => None,
    }
}

/// An answer as CSV.
fn example(schema: &Schema) -> String {
    let columns: Vec<&str> = answer::columns(schema).collect();
    let values = ["nciz", "1", "0.86", "", ""];
    format!("{}\n{}\n", columns.join(","), values[..columns.len()].join(","))
}

/// One client as JSON.
fn client_row(schema: &Schema, model: Option<&Model>) -> Object {
    let id = ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::String, Type::Number, Type::Null]))
        .description(Some("The client's name; the answer repeats it. A number counts as its text."));
    let mut row = ObjectBuilder::new()
        .description(Some("One client as JSON; a key that is absent or null is a missing value."))
        .property(schema.id(), id);
    for (j, predictor) in schema.predictors().iter().enumerate() {
        row = row.property(&predictor.name, value(predictor, model.map(|model| &model.effects[j])));
    }
    // Only `"ignored": "*"` ignores a column without a name.
    let ignores_all = schema.ignores("");
    row.property(&schema.target().name, target(schema.target()))
        .additional_properties(Some(AdditionalProperties::FreeForm(ignores_all)))
        .build()
}

/// The value of a predictor.
fn value(predictor: &Predictor, effect: Option<&Effect>) -> Object {
    let label = capitalised(&predictor.label);
    let number = ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Number, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
        .description(Some(match &predictor.unit {
            None => format!("{label}."),
            Some(unit) => format!("{label}, in {unit}."),
        }));
    match (predictor.kind, predictor.transform) {
        (Kind::Count, _) => number.minimum(Some(0)).maximum(Some(LARGEST_COUNT as i64)).build(),
        (Kind::Number, Transform::None) => number.build(),
        (Kind::Number, Transform::Log1p) => number.exclusive_minimum(Some(-1)).build(),
        (Kind::Category, _) => {
            let levels = match effect {
                Some(Effect::Category(category)) => category.levels.iter().map(|level| level.name.as_str()).collect(),
                _ => Vec::new(),
            };
            ObjectBuilder::new()
                .schema_type(SchemaType::Array(vec![Type::String, Type::Number, Type::Boolean, Type::Null]))
                .description(Some(format!(
                    "{label}. The examples are the levels that the model knows; any other level has no effect. A \
                     number or a boolean counts as its text."
                )))
                .examples(levels)
                .build()
        }
    }
}

/// The target, whose value is ignored.
fn target(target: &Target) -> Object {
    let described = ObjectBuilder::new().description(Some(
        "Accepted so that rows of a training table can be sent unchanged; the prediction ignores it.",
    ));
    let is_number = [&target.positive, &target.negative].into_iter().all(|label| label.parse::<f64>().is_ok());
    match is_number {
        true => described
            .schema_type(SchemaType::Array(vec![Type::Number, Type::Null]))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double))),
        false => described.schema_type(SchemaType::Array(vec![Type::String, Type::Null])),
    }
    .build()
}

/// The query parameters of the "what if" form.
fn what_if_parameters(schema: &Schema) -> impl Iterator<Item = Parameter> {
    let first = schema.predictors().first();
    schema.predictors().iter().map(move |predictor| {
        let is_first = first.is_some_and(|first| first.name == predictor.name);
        let description = match (predictor.is_category(), is_first) {
            (true, _) => "Another level for the \"what if\" form; empty for unknown",
            (false, true) => "Another number for the \"what if\" form; empty for unknown",
            (false, false) => "The same",
        };
        ParameterBuilder::new()
            .name(&predictor.name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(Object::with_type(Type::String)))
            .build()
    })
}
