//! C-MOVE: objects go to a third over other associations; here the peer is told how far it is, and a C-CANCEL is heard
//! (PS3.7 9.1.4, 9.3.4).

use std::pin::pin;

use kluis_dicom::Phi;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    How,
    connection::{Arrived, Patience},
    get::pending,
    session::Session,
};
use crate::{
    MoveRequest, Outcome, Services, Transfer, Transferred,
    association::Violation,
    command::{Counts, OtherRequest, Reply, Status},
};

/// What comes first, while sub-operations are performed.
enum First {
    Arrived(Result<Arrived, How>),
    Progress(Option<Counts>),
}

impl<S, V> Session<'_, S, V>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    V: Services,
{
    pub(super) async fn transfer(
        &mut self,
        context_id: u8,
        request: OtherRequest,
        identifier: Phi<Vec<u8>>,
    ) -> Result<(), How> {
        let Some(context) = self.contexts.get(&context_id) else {
            return Err(Violation::ContextNotAccepted(context_id).into());
        };
        let wanted = MoveRequest {
            message_id: request.message_id,
            sop_class: context.abstract_syntax.clone(),
            transfer_syntax: context.transfer_syntax.clone(),
            identifier,
            destination: self.move_destination.take(),
        };
        let mut transfer = match self.services.transfer(wanted).await {
            Ok(transfer) => transfer,
            Err(outcome) => return self.reply(context_id, request, outcome).await,
        };
        let is_cancelled = self.accompany(context_id, &request, &mut transfer).await?;
        let Transferred { counts, failed_list, outcome } = transfer.finish();
        let Outcome { status, comment } = outcome.unwrap_or_else(|| counts.status(is_cancelled).into());
        let has_data_set = !failed_list.is_empty() && status != Status::SUCCESS;
        let reply = Reply { request, status, comment, has_data_set, counts: Some(counts) };
        self.last_reply(context_id, &reply, if has_data_set { &failed_list } else { &[] }).await
    }

    /// Tells the peer how far it is until all sub-operations have ended; whether it was cancelled.
    async fn accompany(
        &mut self,
        context_id: u8,
        request: &OtherRequest,
        transfer: &mut V::Transfer,
    ) -> Result<bool, How> {
        let mut is_cancelled = false;
        loop {
            let first = {
                let mut progress = pin!(transfer.progress());
                tokio::select! {
                    biased;
                    arrived = self.connection.next(Patience::Operation) => First::Arrived(arrived),
                    counts = &mut progress => First::Progress(counts),
                }
            };
            match first {
                First::Arrived(arrived) => {
                    if self.is_cancelled(arrived?, request.message_id)? {
                        is_cancelled = true;
                        transfer.cancel();
                    }
                }
                First::Progress(Some(counts)) => {
                    let message = pending(context_id, request, counts, self.send_maximum);
                    self.connection.send(&message).await?;
                }
                First::Progress(None) => return Ok(is_cancelled),
            }
        }
    }
}
