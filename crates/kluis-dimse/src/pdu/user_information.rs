//! The user information item and its sub-items (PS3.8 D.1, PS3.7 D.3.3).

use kluis_dicom::{Phi, Uid};

use super::{PduError, cursor::Cursor, write::Writer};
use crate::limits;

const MAXIMUM_LENGTH: u8 = 0x51;
const IMPLEMENTATION_CLASS_UID: u8 = 0x52;
const ASYNCHRONOUS_OPERATIONS: u8 = 0x53;
const ROLE_SELECTION: u8 = 0x54;
const IMPLEMENTATION_VERSION_NAME: u8 = 0x55;
const EXTENDED_NEGOTIATION: u8 = 0x56;
const COMMON_EXTENDED_NEGOTIATION: u8 = 0x57;
const USER_IDENTITY: u8 = 0x58;
const USER_IDENTITY_RESPONSE: u8 = 0x59;

/// What the two sides tell each other beside the presentation contexts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInformation {
    /// 51H: the longest P-DATA-TF contents that the sender takes, in bytes; 0 = no limit (PS3.8 D.1).
    pub maximum_length: Option<u32>,
    /// 52H (PS3.7 D.3.3.2).
    pub implementation_class_uid: Option<Uid>,
    /// 55H: at most 16 characters.
    pub implementation_version: Option<Vec<u8>>,
    /// 53H (PS3.7 D.3.3.3).
    pub asynchronous_operations: Option<AsynchronousOperations>,
    /// 54H (PS3.7 D.3.3.4).
    pub roles: Vec<RoleSelection>,
    /// 56H (PS3.7 D.3.3.5).
    pub extended: Vec<ExtendedNegotiation>,
    /// 57H (PS3.7 D.3.3.6).
    pub common_extended: Vec<CommonExtendedNegotiation>,
    /// 58H (PS3.7 D.3.3.7), requests only.
    pub identity: Option<UserIdentity>,
    /// 59H (PS3.7 D.3.3.7), answers only.
    pub identity_response: Option<Vec<u8>>,
    /// All others, kept as they are and otherwise ignored (PS3.8 9.3.1).
    pub unknown: Vec<UnknownSubItem>,
}

/// How many operations may be outstanding; 0 = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsynchronousOperations {
    /// By the requestor.
    pub invoked: u16,
    /// On the requestor.
    pub performed: u16,
}

/// Roles of the requestor for one SOP class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSelection {
    /// SOP class.
    pub sop_class: Uid,
    /// The requestor acts as user.
    pub is_scu: bool,
    /// The requestor acts as provider.
    pub is_scp: bool,
}

/// SOP class extended negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedNegotiation {
    /// SOP class.
    pub sop_class: Uid,
    /// Service class application information; its form depends on the service class.
    pub information: Vec<u8>,
}

/// SOP class common extended negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommonExtendedNegotiation {
    /// Version of the sub-item; 0.
    pub version: u8,
    /// SOP class.
    pub sop_class: Uid,
    /// Service class.
    pub service_class: Uid,
    /// Related general SOP classes.
    pub related: Vec<Uid>,
}

/// User identity: what a user proves itself with. Never shown by `Debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT.
    pub kind: u8,
    /// An answer is wanted.
    pub is_response_requested: bool,
    /// Name, ticket, assertion or token.
    pub primary: Phi<Vec<u8>>,
    /// Passcode of kind 2.
    pub secondary: Phi<Vec<u8>>,
}

/// A sub-item that we do not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSubItem {
    /// Its type.
    pub kind: u8,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl UserInformation {
    pub(super) fn read(mut items: Cursor<'_>) -> Result<Self, PduError> {
        let mut user = Self::default();
        let mut count = 0_usize;
        while !items.is_empty() {
            let (kind, second, contents) = items.item()?;
            count = count.saturating_add(1);
            if count > limits::USER_SUB_ITEMS {
                return Err(PduError::TooManyItems(kind));
            }
            user.read_sub_item(kind, second, contents)?;
        }
        Ok(user)
    }

    /// A SOP class that is no UID names nothing that could be negotiated: such a sub-item is passed over.
    fn read_sub_item(&mut self, kind: u8, second: u8, mut contents: Cursor<'_>) -> Result<(), PduError> {
        match kind {
            MAXIMUM_LENGTH => self.maximum_length = Some(fixed(kind, contents).map(u32::from_be_bytes)?),
            IMPLEMENTATION_CLASS_UID => self.implementation_class_uid = Uid::from_value(contents.rest()).ok(),
            IMPLEMENTATION_VERSION_NAME => self.implementation_version = Some(contents.rest().to_vec()),
            ASYNCHRONOUS_OPERATIONS => {
                let [i0, i1, p0, p1] = fixed(kind, contents)?;
                self.asynchronous_operations = Some(AsynchronousOperations {
                    invoked: u16::from_be_bytes([i0, i1]),
                    performed: u16::from_be_bytes([p0, p1]),
                });
            }
            ROLE_SELECTION => {
                let sop_class = Uid::from_value(contents.field()?);
                let [scu, scp] = contents.array()?;
                if let Ok(sop_class) = sop_class {
                    self.roles.push(RoleSelection { sop_class, is_scu: scu == 1, is_scp: scp == 1 });
                }
            }
            EXTENDED_NEGOTIATION => {
                if let Ok(sop_class) = Uid::from_value(contents.field()?) {
                    self.extended.push(ExtendedNegotiation { sop_class, information: contents.rest().to_vec() });
                }
            }
            COMMON_EXTENDED_NEGOTIATION => self.common_extended.extend(read_common_extended(second, contents)?),
            USER_IDENTITY => {
                let [kind, response] = contents.array()?;
                let primary = Phi(contents.field()?.to_vec());
                // left out by some where there is none
                let secondary = if contents.is_empty() { Vec::new() } else { contents.field()?.to_vec() };
                self.identity = Some(UserIdentity {
                    kind,
                    is_response_requested: response == 1,
                    primary,
                    secondary: Phi(secondary),
                });
            }
            USER_IDENTITY_RESPONSE => self.identity_response = Some(contents.field()?.to_vec()),
            _ => self.unknown.push(UnknownSubItem { kind, bytes: contents.rest().to_vec() }),
        }
        Ok(())
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) -> Result<(), PduError> {
        if let Some(length) = self.maximum_length {
            out.item(MAXIMUM_LENGTH, 0, |out| out.bytes(&length.to_be_bytes()))?;
        }
        if let Some(uid) = &self.implementation_class_uid {
            out.item(IMPLEMENTATION_CLASS_UID, 0, |out| out.bytes(uid.as_str().as_bytes()))?;
        }
        if let Some(window) = self.asynchronous_operations {
            out.item(ASYNCHRONOUS_OPERATIONS, 0, |out| {
                out.bytes(&window.invoked.to_be_bytes())?;
                out.bytes(&window.performed.to_be_bytes())
            })?;
        }
        for role in &self.roles {
            out.item(ROLE_SELECTION, 0, |out| {
                out.field(role.sop_class.as_str().as_bytes())?;
                out.bytes(&[u8::from(role.is_scu), u8::from(role.is_scp)])
            })?;
        }
        if let Some(name) = &self.implementation_version {
            out.item(IMPLEMENTATION_VERSION_NAME, 0, |out| out.bytes(name))?;
        }
        for extended in &self.extended {
            out.item(EXTENDED_NEGOTIATION, 0, |out| {
                out.field(extended.sop_class.as_str().as_bytes())?;
                out.bytes(&extended.information)
            })?;
        }
        for common in &self.common_extended {
            write_common_extended(common, out)?;
        }
        if let Some(identity) = &self.identity {
            out.item(USER_IDENTITY, 0, |out| {
                out.bytes(&[identity.kind, u8::from(identity.is_response_requested)])?;
                out.field(&identity.primary)?;
                out.field(&identity.secondary)
            })?;
        }
        if let Some(response) = &self.identity_response {
            out.item(USER_IDENTITY_RESPONSE, 0, |out| out.field(response))?;
        }
        for unknown in &self.unknown {
            out.item(unknown.kind, 0, |out| out.bytes(&unknown.bytes))?;
        }
        Ok(())
    }
}

fn fixed<const N: usize>(kind: u8, contents: Cursor<'_>) -> Result<[u8; N], PduError> {
    contents.0.try_into().map_err(|_| PduError::SubItemLength(kind))
}

fn read_common_extended(version: u8, mut contents: Cursor<'_>) -> Result<Option<CommonExtendedNegotiation>, PduError> {
    let sop_class = Uid::from_value(contents.field()?);
    let service_class = Uid::from_value(contents.field()?);
    let mut list = Cursor(contents.field()?);
    let mut related = Vec::new();
    while !list.is_empty() {
        let uid = Uid::from_value(list.field()?);
        if related.len() >= limits::RELATED_SOP_CLASSES {
            return Err(PduError::TooManyItems(COMMON_EXTENDED_NEGOTIATION));
        }
        related.extend(uid.ok());
    }
    let (Ok(sop_class), Ok(service_class)) = (sop_class, service_class) else { return Ok(None) };
    Ok(Some(CommonExtendedNegotiation { version, sop_class, service_class, related }))
}

fn write_common_extended(common: &CommonExtendedNegotiation, out: &mut Writer<'_>) -> Result<(), PduError> {
    out.item(COMMON_EXTENDED_NEGOTIATION, common.version, |out| {
        out.field(common.sop_class.as_str().as_bytes())?;
        out.field(common.service_class.as_str().as_bytes())?;
        out.block(|out| {
            for uid in &common.related {
                out.field(uid.as_str().as_bytes())?;
            }
            Ok(())
        })
    })
}
