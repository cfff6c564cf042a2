//! The vault, tested as a whole: the suite for every implementation, then the disk's own business.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod suite;
