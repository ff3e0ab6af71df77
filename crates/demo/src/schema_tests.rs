#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;

fn made(schema: &Value, prompt: &str) -> Value {
    instance(schema, &mut Words::of(prompt, "", ""))
}

#[test]
fn strings_take_the_telling_words_and_numbers_the_numbers() {
    let schema = json!({"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "factor": {"type": "number"}}});
    let made = made(&schema, "What will the weather be in Paris for 3 days, times 1.5?");
    assert_eq!(made, json!({"city": "Paris", "days": 3, "factor": 1.5}));
}

#[test]
fn a_whole_number_has_no_fraction() {
    let schema = json!({"type": "object", "properties": {
        "wait_ms": {"type": "number"}, "factor": {"type": "number"}}});
    assert_eq!(made(&schema, "2.5 times 10").to_string(), r#"{"factor":2.5,"wait_ms":10}"#);
}

#[test]
fn a_quoted_text_comes_first() {
    let schema = json!({"type": "string"});
    assert_eq!(made(&schema, "Search for \"rate limits\" in London"), json!("rate limits"));
}

#[test]
fn enum_const_and_bounds_are_kept() {
    let schema = json!({"type": "object", "properties": {
        "unit": {"enum": ["fahrenheit", "celsius"]},
        "kind": {"const": 7},
        "small": {"type": "integer", "maximum": 5},
        "big": {"type": "integer", "minimum": 100},
        "open": {"type": "number", "exclusiveMinimum": 12, "exclusiveMaximum": 13},
        "step": {"type": "integer", "multipleOf": 5, "minimum": 11},
        "name": {"type": "string", "minLength": 20, "maxLength": 20},
        "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 3}}});
    let made = made(&schema, "12 degrees Celsius");
    assert_eq!(made["unit"], "celsius");
    assert_eq!(made["kind"], 7);
    assert_eq!(made["small"], 5);
    assert_eq!(made["big"], 100);
    let open = made["open"].as_f64().unwrap();
    assert!(12.0 < open && open < 13.0);
    assert_eq!(made["step"], 15);
    assert_eq!(made["name"].as_str().unwrap().chars().count(), 20);
    assert_eq!(made["list"], json!([true, true, true]));
}

#[test]
fn references_choices_and_merged_schemas_are_followed() {
    let schema = json!({
        "$defs": {"step": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "both": {"allOf": [{"$ref": "#/$defs/step"}, {"properties": {"n": {"type": ["null", "integer"]}}}]}}});
    let made = made(&schema, "hello");
    assert!(made["steps"][0]["text"].is_string());
    assert!(made["note"].is_string());
    assert!(made["both"]["text"].is_string() && made["both"]["n"].is_i64());
}

#[test]
fn a_schema_that_contains_itself_comes_to_an_end() {
    let tree = json!({"type": "object", "required": ["children", "next"], "properties": {
        "children": {"type": "array", "items": {"$ref": "#"}},
        "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "more": {"$ref": "#"}}});
    assert!(made(&tree, "x").to_string().len() < 100_000);
    let endless = json!({"$ref": "#"});
    assert_eq!(made(&endless, "x"), Value::Null);
    let required =
        json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});
    assert!(made(&required, "x").is_object());
}

#[test]
fn a_schema_that_doubles_with_each_level_stays_small() {
    let twice = json!({"type": "object", "required": ["a", "b"], "properties": {
        "a": {"$ref": "#"}, "b": {"$ref": "#"}}});
    assert!(made(&twice, "x").to_string().len() < 1_000_000);
}
