/**
 * The member among a request's headers that says for whom it is, to upstreams in this process that
 * keep callers apart. No HTTP header can have this name, so that no client can send one.
 */
export const OWNER = ':owner'
