import { Estimate } from "./estimate";

export default function Page() {
  return (
    <main>
      <Estimate />
    </main>
  );
}
