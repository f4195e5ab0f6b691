import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { isObject, stringMember, stringsMember, tryParseJson } from '../../util/json.js'
import { readPrivateFile, removeFile, writePrivateFile } from '../../util/private-files.js'
import type { ClientStore } from '../oauth/registration.js'
import type { StoreDeps } from './data-key.js'
import { withLock } from './file-store.js'
import { numberMember, parseClient } from './record.js'

/** Creates the store of dynamic registrations: one file for each issuer, private like the tokens. */
export function createClientStore(deps: StoreDeps): ClientStore {
  const keyOf = (issuer: string) => createHash('sha256').update(issuer).digest('hex').slice(0, 32)
  const pathOf = (issuer: string) => join(deps.folder, 'clients', `${keyOf(issuer)}.json`)

  const load: ClientStore['load'] = async (issuer) => {
    const text = await readPrivateFile(pathOf(issuer))
    const file = text === undefined ? undefined : tryParseJson(text)
    if (!isObject(file) || file['schema'] !== 1 || file['issuer'] !== issuer) return undefined
    const client = parseClient(file['client'])
    return (
      client && {
        client,
        secretExpiresAt: numberMember(file, 'secretExpiresAt'),
        requestedScope: stringMember(file, 'requestedScope'),
        grantedScope: stringMember(file, 'grantedScope'),
        answeredUris: stringsMember(file, 'answeredUris'),
      }
    )
  }

  return {
    load,
    save: (issuer, registration) =>
      writePrivateFile(
        pathOf(issuer),
        `${JSON.stringify({ schema: 1, issuer, ...registration })}\n`,
      ),
    async forget(issuer, clientId) {
      // Another process may have registered a new client meanwhile; that one stays.
      if ((await load(issuer))?.client.id === clientId) await removeFile(pathOf(issuer))
    },
    exclusively: (issuer, task) => withLock(deps, `client-${keyOf(issuer)}`, task),
  }
}
