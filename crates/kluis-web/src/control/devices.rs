//! Devices: enrol, list, show, remove.

use axum::body::Body;
use http::{Response, StatusCode};
use kluis_archive::{NewDevice, act};
use kluis_dicom::AeTitle;
use kluis_identity::Device;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{asked, json_answer, json_body, time_text};
use crate::{call::Call, errors::WebError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceBody {
    ae: String,
    #[serde(default)]
    rights: Option<String>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    csr_pem: Option<String>,
}

impl DeviceBody {
    fn device(self) -> Result<NewDevice, WebError> {
        let rights = match &self.rights {
            Some(text) => {
                text.parse().map_err(|error: kluis_policy::ParseRightError| WebError::BadRequest(error.to_string()))?
            }
            None => kluis_policy::DeviceRights::default(),
        };
        Ok(NewDevice { ae: parse_ae(&self.ae)?, rights, address: self.address, csr_pem: self.csr_pem })
    }
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageDevices).await?;
    let devices = call.archive().devices(permit).await?;
    let answer: Vec<Value> = devices.iter().map(describe).collect();
    devices.complete();
    json_answer(StatusCode::OK, &answer)
}

pub(crate) async fn add(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageDevices).await?;
    let (permit, new) = asked(permit, json_body(&call).await.and_then(DeviceBody::device))?;
    let enrolled = call.archive().add_device(permit, new).await?;
    let mut answer = describe(&enrolled.device);
    if let Value::Object(fields) = &mut answer {
        fields.insert("key_pem".to_owned(), json!(enrolled.key_pem));
        fields.insert("ca_pem".to_owned(), json!(enrolled.ca_pem));
    }
    enrolled.complete();
    json_answer(StatusCode::CREATED, &answer)
}

pub(crate) async fn show(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageDevices).await?;
    let (permit, ae) = asked(permit, parse_ae(call.capture("ae")))?;
    let device = call.archive().device(permit, &ae).await?;
    let answer = describe(&device);
    device.complete();
    json_answer(StatusCode::OK, &answer)
}

pub(crate) async fn remove(call: Call) -> Result<Response<Body>, WebError> {
    let permit = call.admit(act::ManageDevices).await?;
    let (permit, ae) = asked(permit, parse_ae(call.capture("ae")))?;
    call.archive().remove_device(permit, &ae).await?.complete();
    json_answer(StatusCode::OK, &json!({}))
}

fn parse_ae(text: &str) -> Result<AeTitle, WebError> {
    text.parse().map_err(|error: kluis_dicom::AeTitleError| WebError::BadRequest(error.to_string()))
}

fn describe(device: &Device) -> Value {
    json!({
        "ae": device.ae.to_string(),
        "rights": device.rights.to_string(),
        "key_fingerprint": device.key_fingerprint,
        "address": device.address,
        "certificate_pem": device.certificate_pem,
        "created_at": time_text(device.created_at),
        "expires_at": time_text(device.expires_at),
    })
}
