/** What happened so long ago says nothing about the token of today. */
const PROOF_SECONDS = 60
/** So often tokens are renewed that the target takes at first and refuses soon after. */
const MAX_RENEWALS = 2

/** Tokens that were got because the one before was refused. */
export interface Renewals {
  add(token: string, before: string): void
  accept(token: string): void
  /** The token is new, and refused all the same: one more would be, too. */
  isInVain(token: string): boolean
}

/** @param now Seconds since the epoch. */
export function createRenewals(now: () => number): Renewals {
  const renewals = new Map<string, { at: number; count: number; accepted: boolean }>()
  return {
    add(token, before) {
      const count = (renewals.get(before)?.count ?? 0) + 1
      renewals.set(token, { at: now(), count, accepted: false })
    },
    accept(token) {
      const renewal = renewals.get(token)
      if (renewal !== undefined) renewal.accepted = true
    },
    isInVain(token) {
      for (const [renewed, { at }] of renewals) {
        if (now() - at > PROOF_SECONDS) renewals.delete(renewed)
      }
      const renewal = renewals.get(token)
      return renewal !== undefined && (!renewal.accepted || renewal.count >= MAX_RENEWALS)
    },
  }
}
