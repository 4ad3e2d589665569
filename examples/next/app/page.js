export default function Page() {
  return <p>The example is open.</p>;
}
