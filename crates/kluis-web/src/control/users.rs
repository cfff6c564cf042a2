//! People: add, list, remove, and their enrolment links.

use axum::body::Body;
use http::{Response, StatusCode};
use kluis_archive::{NewCode, act};
use serde_json::{Value, json};

use super::{AccountBody, asked, json_answer, json_body, time_text};
use crate::{call::Call, errors::WebError};

pub(crate) async fn list(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageUsers).await?;
    let users = call.archive().users(permit).await?;
    let answer: Vec<Value> = users
        .iter()
        .map(|user| {
            json!({
                "name": user.name,
                "role": user.role.as_str(),
                "referring": user.referring,
                "created_at": time_text(user.created_at),
            })
        })
        .collect();
    users.complete();
    json_answer(StatusCode::OK, &answer)
}

pub(crate) async fn add(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageUsers).await?;
    let (permit, body) = asked(permit, json_body::<AccountBody>(&call).await)?;
    let (permit, account) = asked(permit, body.account())?;
    let code = call.archive().add_user(permit, account).await?;
    let answer = describe(&body.name, &code);
    code.complete();
    json_answer(StatusCode::CREATED, &answer)
}

pub(crate) async fn link(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageUsers).await?;
    let name = call.capture("name");
    let code = call.archive().new_code(permit, name).await?;
    let answer = describe(name, &code);
    code.complete();
    json_answer(StatusCode::CREATED, &answer)
}

pub(crate) async fn remove(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageUsers).await?;
    call.archive().remove_user(permit, call.capture("name")).await?.complete();
    json_answer(StatusCode::OK, &json!({}))
}

/// `path` stands behind the address of the HTTPS door, which whoever asks knows.
fn describe(name: &str, code: &NewCode) -> Value {
    json!({
        "name": name,
        "code": code.code,
        "path": format!("/enrol/{}", code.code),
        "expires_at": time_text(code.expires_at),
    })
}
