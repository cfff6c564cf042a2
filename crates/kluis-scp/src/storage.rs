//! Storage service class, provider (PS3.4 Annex B): level 2 (full), every element kept as sent.

use kluis_archive::{Archive, Expected, Incoming, Origin, StoreError, StoreStream, act};
use kluis_dicom::part10::Source;
use kluis_dimse::{Outcome, StoreRequest, StoreSink, command::Status};
use kluis_policy::{Principal, Transport};

use crate::status;

/// The command of a C-STORE: is it permitted, and where does the data set go.
pub(crate) async fn begin(
    archive: &Archive,
    principal: &Principal,
    origin: Origin,
    request: StoreRequest,
) -> Result<ObjectSink, Outcome> {
    let permit = archive
        .admit(principal, origin, act::Store { study: None })
        .await
        .map_err(|refused| status::refused(&refused))?;
    let incoming = Incoming {
        source: Source::DataSet { transfer_syntax: request.transfer_syntax },
        expected: Expected {
            sop_class: Some(request.sop_class),
            sop_instance: Some(request.sop_instance),
            study: None,
        },
        transport: Transport::DimseTls,
    };
    Ok(ObjectSink { stream: Some(archive.begin_store(permit, incoming)) })
}

/// The data set of a C-STORE on its way into the archive.
pub(crate) struct ObjectSink {
    /// Taken out at the end, or at the first error.
    stream: Option<StoreStream>,
}

impl StoreSink for ObjectSink {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        let Some(stream) = &mut self.stream else { return Err(Status::PROCESSING_FAILURE.into()) };
        if stream.write(bytes).await.is_ok() {
            return Ok(());
        }
        // ended here and not only dropped, so that the audit entry says failed and not interrupted
        Err(self.end().await)
    }

    async fn finish(mut self) -> Outcome {
        self.end().await
    }
}

impl ObjectSink {
    async fn end(&mut self) -> Outcome {
        let Some(stream) = self.stream.take() else { return Status::PROCESSING_FAILURE.into() };
        match stream.finish().await {
            Ok(_) => Status::SUCCESS.into(),
            Err(error) => {
                if let StoreError::Unavailable(cause) = &error {
                    tracing::error!(%error, %cause, "an object was not kept");
                }
                status::store_failure(&error)
            }
        }
    }
}
