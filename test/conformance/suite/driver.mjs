/**
 * The client that the suite starts for each scenario, as `<command> <url of its server>`. The host and
 * the browser are played by the test that listens at the first argument; this only knocks there.
 */
const [stage, url] = process.argv.slice(2)
const { MCP_CONFORMANCE_SCENARIO: scenario, MCP_CONFORMANCE_CONTEXT: context = '{}' } = process.env

const body = JSON.stringify({ scenario, url, context: JSON.parse(context) })
const response = await fetch(stage, { method: 'POST', body })
process.stderr.write(await response.text())
process.exitCode = response.ok ? 0 : 1
