//! The document of our own API, and whether the router does what it says.

use std::collections::BTreeSet;

use fluxgate_testkit::TestStack;
use fluxgate_testkit::wire;
use serde_json::Value;

/// The list of routes, as a newcomer reads it.
const ROUTER: &str = include_str!("../../src/router.rs");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

async fn document(stack: &TestStack) -> Value {
    let answer =
        wire::ask(stack.clear, &wire::request("GET", "/api/v1/openapi.json", &[], b"")).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

/// Every method of every path, with its operation.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &'_ Value)| {
        let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
        methods.map(|method| ((*method).to_owned(), path.clone())).collect::<Vec<_>>()
    };
    let named = paths.iter().flat_map(of_path);
    named.map(|(method, path)| (method.clone(), path.clone(), &paths[&path][&method])).collect()
}

/// What stands in `router.rs`: method and path of each route of our own.
fn written_routes() -> BTreeSet<(String, String)> {
    let routes = ROUTER.split(".route(\"").skip(1);
    let ours = routes.filter(|route| route.starts_with("/api/v1"));
    ours.flat_map(|route| {
        let (path, handlers) = route.split_once('"').unwrap();
        let handlers = handlers.lines().next().unwrap();
        let takes = |method: &&&str| handlers.contains(&format!("{method}("));
        let methods = METHODS.iter().filter(takes);
        methods.map(|method| ((*method).to_owned(), path.to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn the_routes_are_read_as_they_are_written() {
    let routes = written_routes();
    let has = |method: &str, path: &str| routes.contains(&(method.to_owned(), path.to_owned()));
    assert!(has("get", "/api/v1/keys") && has("post", "/api/v1/keys"));
    assert!(has("delete", "/api/v1/auth/sessions/{id}") && !has("get", "/api/v1/auth/login"));
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let mut stack = TestStack::start().await;
    let document = document(&stack).await;
    let documented: BTreeSet<_> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(documented, written_routes());

    for path in document["paths"].as_object().unwrap().keys() {
        let asked = path.replace("{id}", "1");
        for method in METHODS {
            let request = wire::request(&method.to_uppercase(), &asked, &[], b"");
            let answer = wire::ask(stack.clear, &request).await;
            let known = documented.contains(&(method.to_owned(), path.clone()));
            assert_eq!(answer.status == 405, !known, "{method} {path}: {}", answer.text());
            assert!(!answer.text().contains("unknown_route"), "{method} {path}");
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn the_document_is_whole() {
    let mut stack = TestStack::start().await;
    let document = document(&stack).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "Fluxgate");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));

    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }

    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} stands twice");
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{method} {path}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
        let takes_a_body = operation.get("requestBody").is_some();
        assert_eq!(answers.contains_key("415"), takes_a_body, "{method} {path}");
        let for_anybody = operation["security"].is_null();
        assert!(for_anybody || answers.contains_key("401"), "{method} {path}");
        assert_eq!(answers.contains_key("404"), answers_not_found(&path), "{method} {path}");
    }
    stack.stop().await;
}

/// What names somebody or something that may not be there any more.
fn answers_not_found(path: &str) -> bool {
    path.contains("{id}") || path.ends_with("/me") || path.ends_with("/password")
}

#[tokio::test]
async fn bodies_take_no_unknown_member_and_schemas_have_names_of_their_own() {
    let mut stack = TestStack::start().await;
    let document = document(&stack).await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "SetUp",
        "Register",
        "LogIn",
        "Refresh",
        "SetPassword",
        "CreateKey",
        "UpdateKey",
        "RotateKey",
        "CreateUser",
        "UpdateUser",
        "CreateReset",
        "CreateTeam",
        "UpdateTeam",
        "CreateInvite",
        "Limits",
        "Budget",
    ] {
        assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
    }
    for name in [
        "SignIn",
        "SignedIn",
        "BearerTokens",
        "Account",
        "Me",
        "Session",
        "Key",
        "CreatedKey",
        "KeySettings",
        "User",
        "Team",
        "Invite",
        "CreatedLink",
        "AuditEntry",
        "UsageItem",
        "ProblemDetails",
        "Scope",
        "Role",
        "UserState",
        "Grant",
        "UsageBy",
        "Period",
    ] {
        assert!(schemas.contains_key(name), "{name}");
    }
    assert_eq!(schemas["SignIn"]["oneOf"].as_array().unwrap().len(), 2);
    for (method, path, operation) in operations(&document) {
        let Some(body) = operation.get("requestBody") else { continue };
        // Not one of two with `null`.
        let schema = &body["content"]["application/json"]["schema"];
        assert!(schema["$ref"].is_string(), "{method} {path}: {schema}");
    }
    stack.stop().await;
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
