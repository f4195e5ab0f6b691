import { OWNER } from '../../http/owner.js'
import type { TargetCredential } from '../credential.js'
import { ownerOf } from '../owner.js'

/** Creates what tells an upstream in this process for whom a request is. Nobody else is told. */
export function ownerCredential(): TargetCredential {
  return {
    perCaller: true,
    headers: ({ principal }) => ({ [OWNER]: ownerOf(principal) }),
    refused: () => false,
  }
}
