import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { dataFolder } from '../../config/folders.js'
import type { TrustFlow } from '../../config/trust.js'
import { readPrivateFile, writePrivateFile } from '../../util/private-files.js'
import type { Runtime } from '../../util/runtime.js'

type Where = Pick<Runtime, 'cwd' | 'env' | 'homeDir' | 'platform'>

/** Tells whether the user said yes to all of this before, in this folder. */
export async function isTrusted(where: Where, flows: readonly TrustFlow[]): Promise<boolean> {
  return (await readPrivateFile(fileOf(where, flows))) !== undefined
}

/** Keeps a yes. Another secret, another place or another folder is another question. */
export async function keepTrust(where: Where, flows: readonly TrustFlow[]): Promise<void> {
  const sends = flows.map(({ what, to }) => `${what} to ${to}`)
  await writePrivateFile(fileOf(where, flows), `${JSON.stringify({ folder: where.cwd, sends })}\n`)
}

function fileOf(where: Where, flows: readonly TrustFlow[]): string {
  const sends = flows.map(({ what, url }) => JSON.stringify([what, url])).sort()
  const question = JSON.stringify([realpathSync(where.cwd), ...sends])
  const hash = createHash('sha256').update(question).digest('hex')
  return join(dataFolder(where), 'trust', `${hash}.json`)
}
