import { createProtection } from '../audit/chain.js'
import { eachLine, openBytes } from '../audit/read-lines.js'
import { createAuditVerifier, type VerifyReport } from '../audit/verify.js'
import { readSettings } from '../config/load.js'
import type { Flags } from '../config/settings.js'
import { ProxyError } from '../util/errors.js'
import { fileErrorCode } from '../util/private-files.js'
import type { Runtime } from '../util/runtime.js'

export interface VerifyInput {
  /** `-` is stdin; none means the configured one. */
  files: readonly string[]
  after: readonly string[]
  heads: readonly string[]
}

/**
 * Checks audit files in the order in which they are given, as one.
 *
 * @throws {ProxyError} `USAGE` when a file cannot be read, `CONFIG_INVALID` when the key is not usable.
 */
export async function verifyAudit(
  runtime: Runtime,
  flags: Flags,
  { files, after, heads }: VerifyInput,
): Promise<VerifyReport> {
  const settings = readSettings(runtime, { flags, for: 'report' })
  const problem = settings.problems.find((text) => text.startsWith('audit.'))
  if (problem !== undefined) throw new ProxyError('CONFIG_INVALID', problem)
  const [file, key] = ['audit.file', 'audit.key'].map((name) => settings.values.get(name)?.value)
  const all = files.length === 0 && typeof file === 'string' ? [file] : files
  if (all.length === 0) {
    throw new ProxyError('USAGE', 'No file is named, and audit.file is not set', {
      hint: 'Name the audit files, the oldest first.',
    })
  }
  const protection = createProtection(typeof key === 'string' ? key : undefined)
  const verifier = createAuditVerifier({ protection, after, heads })
  let end = { file: '', line: 0 }
  for (const path of all) {
    try {
      const stream = path === '-' ? runtime.io.stdin : await openBytes(path)
      const line = await eachLine(stream, (bytes, number) =>
        verifier.take(bytes, { file: path, line: number }),
      )
      end = { file: path, line }
    } catch (cause) {
      const code = fileErrorCode(cause) ?? 'unknown reason'
      throw new ProxyError('USAGE', `Cannot read ${path} (${code})`, {
        hint: 'Name audit files, the oldest first.',
        cause,
      })
    }
  }
  return verifier.report(end)
}
