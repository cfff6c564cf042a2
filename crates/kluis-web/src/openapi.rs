//! `/openapi.json`: the description of the API, made from the table of routes.

use axum::body::Body;
use http::{HeaderValue, Response, header};
use kluis_archive::{Outcome, act};
use kluis_policy::Door;
use serde_json::{Map, Value, json};

use crate::{
    call::Call,
    errors::WebError,
    routes::{Access, ROUTES, Route},
};

pub(crate) async fn openapi(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ReadApiDescription).await?;
    let text = describe(call.app.settings().version, call.origin.door).to_string();
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    permit.finish(Outcome::Done);
    Ok(response)
}

/// An OpenAPI 3.1 document of all routes of a door.
fn describe(version: &str, door: Door) -> Value {
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| route.doors.contains(&door)) {
        let path = route.path.replace("{*", "{");
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = entry {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Kluis", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": crate::identity::COOKIE},
        }},
    })
}

fn operation(route: &Route) -> Value {
    let parameters: Vec<Value> = route
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    let mut responses = json!({"200": {"description": "Done"}, "default": {"description": "A status report"}});
    let mut security = json!([]);
    if route.access == Access::Proved {
        security = json!([{"token": []}, {"session": []}]);
        if let Value::Object(responses) = &mut responses {
            responses.insert("401".to_owned(), json!({"description": "No proof of identity"}));
        }
    }
    json!({"summary": route.summary, "parameters": parameters, "responses": responses, "security": security})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_door_is_described() {
        let document = describe("0", Door::Web);
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, ROUTES.iter().filter(|route| route.doors.contains(&Door::Web)).count());
        let frames = "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}";
        assert_eq!(document["paths"][frames]["get"]["parameters"].as_array().unwrap().len(), 4);
        assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
        assert!(document["paths"].get("/control/users").is_none());
    }
}
