//! Bearer tokens: make, list, revoke.

use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use kluis_archive::act;
use serde_json::{Value, json};

use super::{AccountBody, asked, json_answer, json_body, time_text};
use crate::{call::Call, errors::WebError};

pub(crate) async fn list(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageTokens).await?;
    let tokens = call.archive().tokens(permit).await?;
    let answer: Vec<Value> = tokens
        .iter()
        .map(|token| {
            json!({
                "name": token.name,
                "role": token.role.as_str(),
                "referring": token.referring,
                "created_at": time_text(token.created_at),
                "expires_at": time_text(token.expires_at),
            })
        })
        .collect();
    tokens.complete();
    json_answer(StatusCode::OK, &answer)
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageTokens).await?;
    let (permit, body) = asked(permit, json_body::<AccountBody>(&call).await)?;
    let (permit, account) = asked(permit, body.account())?;
    let life = body.ttl_s.map_or(kluis_identity::limits::TOKEN_LIFE, Duration::from_secs);
    let token = call.archive().create_token(permit, account, life).await?;
    let answer = json!({"name": body.name, "token": token.text, "expires_at": time_text(token.expires_at)});
    token.complete();
    json_answer(StatusCode::CREATED, &answer)
}

pub(crate) async fn revoke(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageTokens).await?;
    call.archive().revoke_token(permit, call.capture("name")).await?.complete();
    json_answer(StatusCode::OK, &json!({}))
}
