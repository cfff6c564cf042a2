//! STOW-RS (PS3.18 10.5): DICOM files as parts of a request, or one by itself.
//!
//! Body slices go straight into the archive; nothing is gathered. Each instance is kept or refused by itself and the
//! answer lists all of them. While later parts arrive, earlier ones are being made durable, so that they share syncs.

use std::sync::{Arc, atomic::Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use kluis_archive::{Expected, Incoming, Permit, StoreError, StoreStream, Stored as Kept, act};
use kluis_dicom::{Uid, part10::Source};
use kluis_dicomweb::{
    accept::{Accept, Offer},
    media_type::MediaType,
    multipart::{MultipartError, PartHeaders, Reader, Related, RelatedError, Step},
    stow::{Failed, StoreReport, Stored, reason},
};
use kluis_policy::Transport;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{instance_url, study_url};
use crate::{
    body::BodyReader,
    call::{Call, accept_header},
    errors::{WebError, chain, store_failure},
    limits,
};

const DICOM: &str = "application/dicom";

pub(crate) async fn store(call: Call) -> Result<Response<Body>, WebError> {
    let study = if call.capture("study").is_empty() { None } else { Some(call.uid("study")?) };
    // asked before anything of the body is read
    let permit = call.admit(act::Store { study: study.clone() }).await?;
    let kind = match Kind::of(call.header(header::CONTENT_TYPE)) {
        Ok(kind) => kind,
        Err(error) => {
            permit.finish(kluis_archive::Outcome::Failed);
            return Err(error);
        }
    };
    let body = BodyReader::new(call.take_body());
    let mut request = StoreRequest::new(&call, study, permit);
    let read = match kind {
        Kind::Single => request.single(body).await,
        Kind::Multipart(related) => request.multipart(body, &related).await,
    };
    if let Err(error) = read {
        request.give_up().await;
        return Err(error);
    }
    let report = request.report().await?;
    Ok(answer(&call, &report))
}

enum Kind {
    Single,
    Multipart(Related),
}

impl Kind {
    fn of(content_type: Option<&str>) -> Result<Self, WebError> {
        let wrong = || {
            WebError::UnsupportedMediaType(
                "send multipart/related; type=\"application/dicom\", or application/dicom".to_owned(),
            )
        };
        if content_type.and_then(MediaType::parse).is_some_and(|media| media.is(DICOM)) {
            return Ok(Self::Single);
        }
        let related = Related::parse(content_type).map_err(|error| match error {
            RelatedError::NoBoundary | RelatedError::BadBoundary => WebError::BadRequest(error.to_string()),
            _ => wrong(),
        })?;
        match related.root_type.as_deref() {
            None | Some(DICOM) => Ok(Self::Multipart(related)),
            Some(_) => Err(wrong()),
        }
    }
}

/// A store request while it comes in.
struct StoreRequest<'c> {
    call: &'c Call,
    study: Option<Uid>,
    /// The permit that was asked for before the body; the first instance uses it.
    first: Option<Permit<act::Store>>,
    parts: usize,
    finishing: JoinSet<(usize, Result<Kept, StoreError>)>,
    room: Arc<Semaphore>,
    /// What became of each part, by its place in the request.
    outcomes: Vec<(usize, Result<Kept, Failed>)>,
}

/// One instance while it comes in.
enum Part {
    Taken(Box<StoreStream>),
    /// Not taken: its bytes are read and dropped.
    Dropped,
}

impl<'c> StoreRequest<'c> {
    fn new(call: &'c Call, study: Option<Uid>, permit: Permit<act::Store>) -> Self {
        Self {
            call,
            study,
            first: Some(permit),
            parts: 0,
            finishing: JoinSet::new(),
            room: Arc::new(Semaphore::new(limits::STORES_AT_ONCE)),
            outcomes: Vec::new(),
        }
    }

    async fn single(&mut self, mut body: BodyReader) -> Result<(), WebError> {
        let Some(first) = body.next().await? else {
            return Err(WebError::BadRequest(MultipartError::Empty.to_string()));
        };
        let mut part = self.begin(&PartHeaders::default()).await?;
        self.write(&mut part, first).await;
        while let Some(bytes) = body.next().await? {
            self.write(&mut part, bytes).await;
        }
        self.finish(part).await;
        Ok(())
    }

    async fn multipart(&mut self, mut body: BodyReader, related: &Related) -> Result<(), WebError> {
        let mut reader = Reader::new(&related.boundary);
        let mut part = Part::Dropped;
        loop {
            let step = match reader.step() {
                Ok(step) => step,
                Err(error) => {
                    if let Part::Taken(stream) = part {
                        stream.give_up();
                    }
                    body.drain().await;
                    return self.malformed(error);
                }
            };
            match step {
                Step::Part(headers) => part = self.begin(&headers).await?,
                Step::Body(bytes) => self.write(&mut part, bytes).await,
                Step::PartEnd => self.finish(std::mem::replace(&mut part, Part::Dropped)).await,
                Step::NeedMore => match body.next().await {
                    Ok(Some(bytes)) => reader.push(bytes),
                    Ok(None) => reader.end(),
                    // what is complete is kept; the client learns from the cut connection that the rest is not
                    Err(error) => return Err(error),
                },
                Step::Done => return Ok(()),
            }
        }
    }

    /// A payload that is no multipart from some place on: a failure of its own beside the parts that were complete.
    fn malformed(&mut self, error: MultipartError) -> Result<(), WebError> {
        if self.parts == 0 {
            return Err(WebError::BadRequest(error.to_string()));
        }
        // a part that did not end is the one that is named by the error; its stream was given up by the caller
        let is_of_last = matches!(error, MultipartError::Truncated { .. });
        let place = if is_of_last { self.parts.saturating_sub(1) } else { self.parts };
        tracing::debug!(error = %error, "store request malformed");
        self.outcomes.push((place, Err(unnamed(reason::CANNOT_UNDERSTAND, StatusCode::BAD_REQUEST))));
        Ok(())
    }

    async fn begin(&mut self, headers: &PartHeaders) -> Result<Part, WebError> {
        let place = self.parts;
        self.parts += 1;
        let media = headers.content_type.as_deref().map(MediaType::parse);
        if !media.is_none_or(|media| media.is_some_and(|media| media.is(DICOM))) {
            let failed = unnamed(reason::CANNOT_UNDERSTAND, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            self.outcomes.push((place, Err(failed)));
            return Ok(Part::Dropped);
        }
        let permit = match self.first.take() {
            Some(permit) => permit,
            None => {
                // a request may go on for hours: who was removed meanwhile stores no more (threat T28)
                self.call.prove_again().await?;
                self.call.admit(act::Store { study: self.study.clone() }).await?
            }
        };
        let expected = Expected { study: self.study.clone(), ..Expected::default() };
        let transport = match self.call.origin.door {
            kluis_policy::Door::Control => Transport::Local,
            _ => Transport::Https,
        };
        let incoming = Incoming { source: Source::File, expected, transport };
        Ok(Part::Taken(Box::new(self.call.archive().begin_store(permit, incoming))))
    }

    async fn write(&mut self, part: &mut Part, bytes: Bytes) {
        self.call.app.metrics().stored_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Part::Taken(stream) = part {
            // the stream keeps its failure and gives it again at the end; the rest of the part is read and dropped
            let _ = stream.write(&bytes).await;
        }
    }

    /// Lets the object be made durable while the next one comes in.
    async fn finish(&mut self, part: Part) {
        let Part::Taken(stream) = part else { return };
        let place = self.parts.saturating_sub(1);
        let room = Arc::clone(&self.room).acquire_owned().await;
        self.finishing.spawn(async move {
            let result = stream.finish().await;
            drop(room);
            (place, result)
        });
        while let Some(done) = self.finishing.try_join_next() {
            self.done(done);
        }
    }

    fn done(&mut self, done: Result<(usize, Result<Kept, StoreError>), tokio::task::JoinError>) {
        let metrics = self.call.app.metrics();
        match done {
            Ok((place, Ok(kept))) => {
                metrics.stored.fetch_add(1, Ordering::Relaxed);
                self.outcomes.push((place, Ok(kept)));
            }
            Ok((place, Err(error))) => {
                metrics.store_failures.fetch_add(1, Ordering::Relaxed);
                if matches!(error, StoreError::Unavailable(_) | StoreError::StorageFull) {
                    tracing::error!(error = chain(&error), "instance not stored");
                } else {
                    tracing::info!(error = chain(&error), "instance refused");
                }
                self.outcomes.push((place, Err(failed(&error))));
            }
            Err(error) => {
                tracing::error!(error = %error, "store task ended early");
                let failed = unnamed(reason::PROCESSING, StatusCode::INTERNAL_SERVER_ERROR);
                self.outcomes.push((self.parts, Err(failed)));
            }
        }
    }

    /// There will be no report: what is complete is kept all the same.
    async fn give_up(mut self) {
        while let Some(done) = self.finishing.join_next().await {
            self.done(done);
        }
        if let Some(permit) = self.first.take() {
            permit.finish(kluis_archive::Outcome::Failed);
        }
    }

    /// Waits for all instances and lists them in the order of the request.
    async fn report(mut self) -> Result<StoreReport, WebError> {
        while let Some(done) = self.finishing.join_next().await {
            self.done(done);
        }
        if let Some(permit) = self.first.take() {
            permit.finish(kluis_archive::Outcome::Failed);
        }
        self.outcomes.sort_by_key(|(place, _)| *place);
        let origin = self.call.public_origin();
        let mut report = StoreReport::default();
        let mut studies: Vec<Uid> = Vec::new();
        for (_, outcome) in self.outcomes {
            match outcome {
                Ok(kept) => {
                    if !studies.contains(&kept.ids.study) {
                        studies.push(kept.ids.study.clone());
                    }
                    report.stored.push(Stored {
                        url: instance_url(&origin, &kept.ids),
                        sop_class: kept.ids.sop_class,
                        sop_instance: kept.ids.sop_instance,
                        warning: None,
                    });
                }
                Err(failed) => report.failed.push(failed),
            }
        }
        if let [study] = studies.as_slice() {
            report.study_url = Some(study_url(&origin, study));
        }
        Ok(report)
    }
}

fn failed(error: &StoreError) -> Failed {
    let (reason, status) = store_failure(error);
    let ids = error.ids();
    Failed {
        sop_class: ids.map(|ids| ids.sop_class.clone()),
        sop_instance: ids.map(|ids| ids.sop_instance.clone()),
        reason,
        status,
    }
}

fn unnamed(reason: u16, status: StatusCode) -> Failed {
    Failed { sop_class: None, sop_instance: None, reason, status }
}

/// JSON, or XML for those who like it better. Whatever the Accept header: what was done is told.
fn answer(call: &Call, report: &StoreReport) -> Response<Body> {
    let offers = [
        Offer::single("application/dicom+json"),
        Offer::single("application/json"),
        Offer::single("application/dicom+xml"),
    ];
    let accept = Accept::parse(accept_header(&call.parts.headers).as_deref(), call.parameter("accept").as_deref());
    let media_type = accept
        .ok()
        .and_then(|accept| accept.choose(&offers).map(|offer| offer.media_type))
        .unwrap_or("application/dicom+json");
    let body = if media_type.ends_with("xml") { report.to_xml() } else { report.to_json() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = report.status();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j06_j07_j08_kinds_of_request() {
        for (text, expected) in [
            ("multipart/related; type=\"application/dicom\"; boundary=b", "multipart"),
            ("multipart/related; boundary=b", "multipart"),
            ("application/dicom", "single"),
            ("application/dicom; transfer-syntax=1.2", "single"),
            ("multipart/related; type=\"application/dicom\"", "bad-request"),
            ("multipart/related; type=\"application/dicom+json\"; boundary=b", "unsupported"),
            ("application/json", "unsupported"),
            ("multipart/form-data; boundary=b", "unsupported"),
        ] {
            let kind = match Kind::of(Some(text)) {
                Ok(Kind::Single) => "single",
                Ok(Kind::Multipart(_)) => "multipart",
                Err(WebError::BadRequest(_)) => "bad-request",
                Err(WebError::UnsupportedMediaType(_)) => "unsupported",
                Err(_) => "other",
            };
            assert_eq!(kind, expected, "{text}");
        }
        assert!(matches!(Kind::of(None), Err(WebError::UnsupportedMediaType(_))));
    }
}
