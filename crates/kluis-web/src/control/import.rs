//! `POST /control/import`: one DICOM file, and a sentence for a person where it is not kept.
//!
//! STOW-RS answers with reasons as numbers, since PS3.18 has it so; who imports a medium wants to read what is wrong.

use axum::body::Body;
use http::{Response, StatusCode};
use kluis_archive::{Expected, Incoming, act};
use kluis_dicom::part10::Source;
use kluis_policy::Transport;
use serde_json::json;

use super::json_answer;
use crate::{body::BodyReader, call::Call, errors::WebError};

pub(crate) async fn import(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::Store { study: None }).await?;
    let mut body = BodyReader::new(call.take_body());
    let incoming = Incoming { source: Source::File, expected: Expected::default(), transport: Transport::Local };
    let mut stream = call.archive().begin_store(permit, incoming);
    while let Some(bytes) = body.next().await? {
        // the stream keeps its failure and gives it again at the end; what is left of the file is read and dropped
        let _ = stream.write(&bytes).await;
    }
    match stream.finish().await {
        Ok(stored) => {
            let answer = json!({ "study": stored.ids.study, "duplicate": stored.is_duplicate });
            json_answer(StatusCode::OK, &answer)
        }
        Err(error) => json_answer(StatusCode::CONFLICT, &json!({ "error": "refused", "message": error.to_string() })),
    }
}
