import { renderSummary } from '../diagnose/reporters/text.js'
import { failureOf } from '../usecases/exit-codes.js'
import type { InspectFlags } from '../usecases/inputs.js'
import { inspectConfiguration } from '../usecases/inspect/inspect-configuration.js'
import { createInspection } from '../usecases/inspect/inspection.js'
import { checkTarget } from '../usecases/test-target/test-target.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import { curlOf, inspectionStyle, render, renderInspected } from './inspection-text.js'

/**
 * Shows every link of the chain to one target.
 *
 * @returns The exit status.
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when there is nothing to check.
 */
export async function printTarget(
  runtime: Runtime,
  argument: string | undefined,
  flags: InspectFlags,
): Promise<number> {
  const { io, clock } = runtime
  const began = clock.now()
  const inspection = createInspection(runtime, flags)
  const result = await checkTarget(runtime, argument, flags, inspection)
  const { report, worst } = result
  const found = inspection.gather(result)
  if (flags.json) io.out(`${JSON.stringify(found)}\n`)
  else {
    const style = inspectionStyle(runtime)
    const { bold, cyan } = style.colors
    io.out(`${bold(`${PRODUCT} ${VERSION}`)}   ${cyan(report.url)}\n\n`)
    io.out(renderInspected(found, style))
    io.out(renderSummary(report, clock.now() - began, style))
  }
  if (flags.curl) (flags.json ? io.err : io.out)(curlOf(found))
  if (flags.json && worst !== undefined) throw failureOf(report.checks, worst)
  return report.exitCode
}

/**
 * Shows what `serve` would run with: what is configured, what Descope says, and what each target says.
 *
 * @returns The exit status.
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when there is nothing to check.
 */
export async function printConfiguration(runtime: Runtime, flags: InspectFlags): Promise<number> {
  const { io, clock } = runtime
  const began = clock.now()
  const { document, file, checks, worst } = await inspectConfiguration(runtime, flags)
  if (flags.json) io.out(`${JSON.stringify(document)}\n`)
  else {
    const style = inspectionStyle(runtime)
    io.out(render(document, file, style))
    io.out(renderSummary({ ...document, checks }, clock.now() - began, style))
  }
  if (flags.json && worst !== undefined) throw failureOf(checks, worst)
  return document.exitCode
}
